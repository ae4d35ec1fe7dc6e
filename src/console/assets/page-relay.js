// Associations that are passed on to the peer that they were meant for, and what waits for that peer.

import { html } from './html.js';
import { Advice, Card, Empty, Meter, Reasons, State, Values } from './parts.js';
import { NONE, bytes, count, duration, plural, words } from './format.js';

export const Relay = ({ status }) => html`
  ${status.relays.length === 0 ? html`<${Empty}>This box passes nothing on: the configuration has no relay.</${Empty}>` : null}
  <div class="cards">${status.relays.map((one) => html`<${Upstream} key=${one.name} one=${one} />`)}</div>`;

const Upstream = ({ one }) => html`
  <${Card} label=${`Relay ${one.name}`} name=${one.name} state=${one.open > 0 ? 'in use' : 'idle'} kind=${one.open > 0 ? 'ok' : 'off'} figure=${plural(one.open, 'open association')}>
    ${one.last_error ? html`<${Advice}>The upstream could not be reached: ${one.last_error}</${Advice}>` : null}
    <${Values} of=${[
  ['Upstream', one.address],
  ['While it is away', words(one.when_unreachable)],
  ['Associations', html`<${Reasons} counts=${one.associations} />`],
  ['C-STOREs', html`<${Reasons} counts=${one.stored} />`],
  ['Passed, not streamed', html`<${Reasons} counts=${one.unstreamed} />`],
  ['Bytes', html`<${Reasons} counts=${one.bytes} show=${bytes} />`],
]} />
    <h3>Spool</h3>
    ${one.spool ? html`<${Values} of=${waiting(one.spool)} />` : html`<p class="quiet">None: nothing is kept on the disk for this upstream.</p>`}
  </${Card}>`;

const bad = (n, what) => (n === 0 ? '0' : html`<${State} name=${`${count(n)} ${what}`} kind="warning" />`);

function waiting(spool) {
  const fill = `${bytes(spool.bytes)} of ${bytes(spool.budget_bytes)}`;
  return [
    ['Waiting', spool.objects === 0 ? html`<${State} name="empty" kind="ok" />` : plural(spool.objects, 'object')],
    ['First of them waits', spool.objects === 0 ? NONE : duration(spool.oldest_seconds)],
    ['On the disk', html`${fill}<${Meter} part=${spool.bytes} whole=${spool.budget_bytes} label="Spool" text=${fill} bad=${0.8} />`],
    ['Set aside', bad(spool.set_aside, 'refused for good')],
    ['Lost', bad(spool.lost, 'lost')],
  ];
}
