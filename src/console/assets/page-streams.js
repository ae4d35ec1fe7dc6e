// What is held in memory and who reads it: how full the rings are, and how far each reader is behind.

import { html } from './html.js';
import { Card, Empty, Meter, Table, Values } from './parts.js';
import { NONE, bytes, count, duration, percent, plural, rate, words } from './format.js';

export function Streams({ status }) {
  const { hub } = status;
  const fill = `${bytes(hub.bytes)} of ${bytes(hub.budget_bytes)}, ${percent(hub.bytes, hub.budget_bytes)}`;
  return html`
    <div class="card">
      <${Values} of=${[
    ['All rings', html`${fill}<${Meter} part=${hub.bytes} whole=${hub.budget_bytes} label="Ring budget" text=${fill} bad=${2} />`],
    ['Instances held', count(hub.instances)],
    ['Series', count(hub.series)],
  ]} />
      <p class="quiet">Full rings are no fault: the oldest instances leave to make room. A reader that is too slow misses those.</p>
    </div>
    ${status.series.length === 0 ? html`<${Empty}>No series is live or still readable.</${Empty}>` : null}
    <div class="cards">${status.series.map((one) => html`<${Stream} key=${one.series} one=${one} hub=${hub} />`)}</div>`;
}

function Stream({ one, hub }) {
  const share = `${bytes(one.bytes)}, ${percent(one.bytes, hub.budget_bytes)} of the budget`;
  const label = `${words(one.source)}, series ending in ${one.series.slice(-12)}`;
  return html`
    <${Card} label=${label} name=${one.modality || 'Series'} aside=${`from ${one.source}`} state=${one.state} figure=${rate(one.instances_per_second, 'images/s')}>
      <${Values} of=${[
    ['In the ring', html`${plural(one.instances, 'instance')}, ${bytes(one.bytes)}<${Meter} part=${one.bytes} whole=${hub.budget_bytes} label="Share of the ring budget" text=${share} bad=${2} />`],
    ['Have left it', count(one.evicted)],
    ['Pictures', one.size ? `${one.size[1]} × ${one.size[0]}` : NONE],
    ['Newest came', `${duration(one.idle_ms / 1000)} ago`],
  ]} />
      <${Table} caption=${`Readers of ${label}`} rows=${one.readers} keyOf=${(reader) => `${reader.kind} ${reader.peer}`} none="Nobody reads it." columns=${[
    ['Reader', (reader) => words(reader.kind)],
    ['Peer', (reader) => reader.peer],
    ['Behind', (reader) => count(reader.behind), true],
    ['Missed', (reader) => count(reader.missed), true],
  ]} />
      <details><summary>UIDs</summary>
        <${Values} of=${[['Study', html`<code>${one.study}</code>`, true], ['Series', html`<code>${one.series}</code>`, true]]} />
      </details>
    </${Card}>`;
}
