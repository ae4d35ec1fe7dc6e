// Whom instances are sent to, and who is told of them: how that goes, and what to do where it does not.

import { html } from './html.js';
import { post } from './api.js';
import { DestinationTest } from './destination-test.js';
import { Action, Advice, Card, Empty, Section, State, Table, Values } from './parts.js';
import { bytes, count, duration, plural, rate, words } from './format.js';

export function Destinations({ status, session }) {
  const mayOperate = session.rights.includes('operate');
  return html`
    ${status.destinations.length === 0 ? html`<${Empty}>The configuration has no destination.</${Empty}>` : null}
    <div class="cards">${status.destinations.map((one) => html`
      <${Destination} key=${one.name} one=${one} mayOperate=${mayOperate} />`)}</div>
    <${Section} title="Subscriptions" id="subscriptions">
      <${Table} caption="Subscriptions" rows=${status.subscriptions} keyOf=${(one) => one.id} columns=${columns(mayOperate)}
        none="Nobody has subscribed, and the configuration has no subscription." />
    </${Section}>`;
}

const Destination = ({ one, mayOperate }) => html`
  <${Card} label=${`Destination ${one.name}`} name=${one.name} state=${one.state} figure=${rate(one.instances_per_second, 'images/s')}>
    ${one.last_error ? html`<${Advice}><b>${one.last_error}</b> ${one.advice ?? ''}</${Advice}>` : null}
    <${Values} of=${[
  ['Address', `${one.address}${one.tls ? '' : ' (without TLS)'}`],
  ['Throughput', `${bytes(one.bytes_per_second)}/s`],
  ['Sent', `${plural(one.sent, 'instance')}, ${bytes(one.bytes)}`],
  ['Failed', count(one.failed)],
  ['Missed', count(one.missed)],
  ['Subscriptions', count(one.subscriptions)],
]} />
    ${mayOperate ? html`<${DestinationTest} name=${one.name} />` : null}
  </${Card}>`;

const columns = (mayOperate) => [
  ['Subscriber', (one) => html`<b>${one.subscriber}</b>${one.principal ? html` <span class="quiet">of ${one.principal}</span>` : ''}`],
  ['State', (one) => html`<${State} name=${one.paused ? 'paused' : one.state} />`],
  ['Gets', (one) => `${words(one.level)}${one.destination ? `, pushed to ${one.destination}` : ', as notifications'}${one.rate ? `, at most ${rate(one.rate, 'a second')}` : ''}`],
  ['Until', (one) => (one.standing ? 'Configured' : one.lease_seconds == null ? 'Cancelled' : `${duration(one.lease_seconds)} left`)],
  ['Sent', (one) => count(one.sent), true],
  ['Failed', (one) => count(one.failed), true],
  ['Missed', (one) => count(one.missed), true],
  ...(mayOperate ? [['Operate', (one) => html`<${Pause} one=${one} />`]] : []),
];

function Pause({ one }) {
  const word = one.paused ? 'Resume' : 'Pause';
  const run = () => post(`/api/subscriptions/${encodeURIComponent(one.id)}/${one.paused ? 'resume' : 'suspend'}`);
  return html`<${Action} label=${word} describe=${`${word} subscription ${one.subscriber}`} run=${run} />`;
}
