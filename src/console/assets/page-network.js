// What the network has to do with it: listeners, certificates, the clock, and the way to each destination.

import { html } from './html.js';
import { DestinationTest } from './destination-test.js';
import { Empty, Section, State, Table, Time, Values } from './parts.js';
import { NONE, latency, plural } from './format.js';

const SOON_DAYS = 30;
const SOURCES = { ptp: 'PTP', chrony: 'NTP (chrony)', timesyncd: 'NTP (systemd-timesyncd)', free: 'nobody’s reference' };

export function Network({ status, session }) {
  const { network, destinations } = status;
  return html`
    <div class="card"><${Values} of=${[
    ['Host name', network.host_name || NONE],
    ['Addresses', network.addresses.join(', ') || 'none but loopback'],
    ['Clock', html`<${Clock} clock=${network.clock} />`],
    ['Time of the box', html`<${Time} at=${status.at} both />`],
  ]} /></div>
    <${Section} title="Certificates" id="certificates">
      <${Table} caption="Certificates" rows=${network.certificates} keyOf=${(one) => one.name} none="None is configured." columns=${[
    ['For', (one) => html`<b>${one.name}</b>`],
    ['Left', (one) => html`<${Left} one=${one} />`],
    ['Expires', (one) => html`<${Time} at=${one.not_after} both />`],
  ]} />
    </${Section}>
    <${Section} title="Listeners" id="listeners">
      <${Table} caption="Listeners" rows=${network.listeners} keyOf=${(one) => `${one.name} ${one.address}`} none="Nothing listens." columns=${[
    ['Listener', (one) => html`<b>${one.name}</b>`],
    ['Address', (one) => one.address],
    ['TLS', (one) => (one.tls ? 'TLS' : 'none')],
  ]} />
    </${Section}>
    <${Section} title="Way to each destination" id="ways">
      ${destinations.length === 0 ? html`<${Empty}>The configuration has no destination.</${Empty}>` : null}
      ${destinations.map((one) => html`
        <div key=${one.name} class="card way"><p><b>${one.name}</b> <span class="quiet">${one.address}</span></p>
          ${session.rights.includes('operate') ? html`<${DestinationTest} name=${one.name} />` : null}</div>`)}
    </${Section}>`;
}

function Left({ one: { days_left: days, not_yet_valid: early } }) {
  if (early) return html`<${State} name="not yet valid" kind="error" />`;
  if (days < 0) return html`<${State} name=${`expired ${plural(-days, 'day')} ago`} kind="error" />`;
  return html`<${State} name=${plural(days, 'day')} kind=${days < SOON_DAYS ? 'warning' : 'ok'} />`;
}

function Clock({ clock }) {
  const state = clock.synchronized ? html`<${State} name="synchronised" kind="ok" />` : html`<${State} name="not synchronised" kind="warning" />`;
  const by = clock.source ? ` by ${SOURCES[clock.source] ?? clock.source}` : '';
  const off = clock.synchronized && clock.error_microseconds != null ? `, at most ${latency(clock.error_microseconds / 1e6)} off` : '';
  return html`${state}${by}${off}`;
}
