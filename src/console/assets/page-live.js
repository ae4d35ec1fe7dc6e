// What comes in, and of whom: each capture with its picture, signal and patient, what is received by C-STORE, and the RIS.

import { html, useState } from './html.js';
import { captureUrl, post, remove, seriesUrl } from './api.js';
import { Histogram } from './histogram.js';
import { LivePicture } from './live-picture.js';
import { Patient } from './patient.js';
import { WorklistDialog } from './worklist.js';
import { Action, Advice, Card, Dialog, Empty, Reasons, Section, State, Table, Values, useTick } from './parts.js';
import { NONE, count, duration, plural, rate, shortUid, words } from './format.js';

// Pictures at once; more would take the network that the streams need.
const MOST_SERIES = 6;
const STILL_MS = 2_000;
// How long a series that has ended stays here.
const ENDED_MS = 60_000;

export function Live({ status, session, feed, showPatients }) {
  const captured = new Set(status.captures.map((capture) => capture.series).filter(Boolean));
  useTick();
  const others = status.series.filter((one) => !captured.has(one.series) && one.source !== 'capture'
    && (one.state === 'live' || idle(one, status) < ENDED_MS));
  const more = others.length - MOST_SERIES;
  const given = { session, showPatients, entries: feed.entries };
  return html`
    <div class="cards">
      ${status.captures.map((capture) => html`<${Capture} key=${capture.name} capture=${capture} status=${status} ...${given} />`)}
      ${others.slice(0, MOST_SERIES).map((one) => html`<${Received} key=${one.series} one=${one} status=${status} ...${given} />`)}
    </div>
    ${more > 0 ? html`<p><a href="#/streams">${more} more live series</a></p>` : null}
    ${status.captures.length + others.length === 0 ? html`<${Empty}>Nothing comes in now. Captures of the configuration and series that are received show here.</${Empty}>` : null}
    ${status.dimse ? html`<${Dimse} dimse=${status.dimse} />` : null}
    ${status.worklists.length + status.mpps.length > 0 ? html`<${Ris} status=${status} />` : null}`;
}

// How long ago the newest instance came (milliseconds): the box says it only when something else changes.
const idle = (series, status) => series.idle_ms + Date.now() - status.received;

// Why the picture is not of now; empty where it is.
function noteOf(capture, series, status) {
  if (capture?.running === false) return 'Stopped by an operator';
  if (capture && !['streaming', 'starting'].includes(capture.state)) return words(capture.state);
  if (!series) return capture?.state === 'streaming' ? 'Nothing is streamed' : 'No picture yet';
  if (series.state !== 'live') return `The series is ${series.state}`;
  const still = idle(series, status);
  return still > STILL_MS ? `No new picture for ${duration(still / 1000)}` : '';
}

function Capture({ capture, status, entries, ...given }) {
  const series = status.series.find((one) => one.series === capture.series);
  const stopped = capture.running === false;
  const { session } = given;
  return html`
    <${Card} label=${`Capture ${capture.name}`} name=${capture.name} state=${stopped ? 'stopped' : capture.state} figure=${rate(capture.frames_per_second, 'frames/s')}>
      ${!stopped && capture.advice ? html`<${Advice}>${capture.advice}</${Advice}>` : null}
      <div class="source">
        <div class="source-seen">
          <${LivePicture} key=${`${capture.series} ${session.phi}`} study=${capture.study} series=${series ? capture.series : ''}
            label=${`capture ${capture.name}`} note=${noteOf(capture, series, status)} />
          <h3>From the device to the stream</h3>
          <${Histogram} bins=${capture.latency} label=${`Latency of capture ${capture.name}`} />
        </div>
        <${Values} of=${[
    ['Format', capture.format || NONE],
    ['Device', capture.device || NONE],
    ['Profile', capture.profile || NONE],
    ['Published', `${count(capture.published)} of ${plural(capture.frames, 'frame')}`],
    ['Lost by the device', count(capture.lost)],
    ['Dropped', html`<${Reasons} counts=${capture.dropped} />`],
  ]} />
        <div class="source-told">
          <${Patient} path=${captureUrl(capture.name, 'context')} says=${capture.context} warnings=${capture.warnings}
            changes=${changesOf(capture, entries)} ...${given} />
          ${session.rights.includes('operate') ? html`<${Controls} capture=${capture} ...${given} />` : null}
        </div>
      </div>
    </${Card}>`;
}

// What changes when somebody else may be imaged: the box's status does not say who, so that who must be asked again.
function changesOf(capture, entries) {
  const spoken = entries.findLast((entry) => entry.text.includes(capture.name) && /patient|context|operat|step/i.test(`${entry.event} ${entry.text}`));
  return JSON.stringify([capture.series, capture.context, capture.warnings, spoken?.sequence]);
}

function Controls({ capture, ...given }) {
  const [asking, setAsking] = useState('');
  const { name } = capture;
  const running = capture.running ?? capture.series !== '';
  const act = (rest) => () => post(captureUrl(name, rest));
  const close = () => setAsking('');
  const ask = (what, label) => html`<button type="button" onClick=${() => setAsking(what)}>${label}</button>`;
  return html`
    <div class="controls" role="group" aria-label=${`Operate capture ${name}`}>
      ${running ? html`<${Action} key="stop" label="Stop" describe=${`Stop capture ${name}`} run=${act('stop')} />`
    : html`<${Action} key="start" label="Start" kind="main" describe=${`Start capture ${name}`} run=${act('start')} />`}
      ${capture.hears_operators ? html`
        ${ask('worklist', 'Choose patient…')}
        ${ask('emergency', 'Emergency…')}
        ${Object.values(capture.context).includes('operator') ? ask('clear', 'Clear patient…') : null}` : null}
    </div>
    ${asking === 'worklist' ? html`<${WorklistDialog} capture=${name} onClose=${close} ...${given} />` : null}
    ${asking === 'emergency' ? html`
      <${Sure} title=${`Emergency patient on ${name}?`} yes="Begin emergency" onClose=${close} run=${act('emergency')}>
        From now on frames belong to a new, unnamed patient. The series that is open ends.
      </${Sure}>` : null}
    ${asking === 'clear' ? html`
      <${Sure} title=${`Clear the patient on ${name}?`} yes="Clear patient" onClose=${close} run=${() => remove(captureUrl(name, 'patient'))}>
        What operators have said of the patient is withdrawn. The next frames belong to whom the modality or the configuration names.
      </${Sure}>` : null}`;
}

const Sure = ({ title, yes, run, onClose, children }) => html`
  <${Dialog} title=${title} onClose=${onClose}>
    <p>${children}</p>
    <div class="controls">
      <${Action} label=${yes} kind="main" run=${run} tell=${onClose} />
      <button type="button" onClick=${onClose}>Cancel</button>
    </div>
  </${Dialog}>`;

// A live series that comes from elsewhere: C-STORE, Send, or the test pattern.
function Received({ one, status, entries, ...given }) {
  const name = { dimse: 'C-STORE', pattern: 'Test pattern' }[one.source] ?? words(one.source);
  const short = `${one.modality} ${shortUid(one.series)}`;
  return html`
    <${Card} label=${`${name}, ${short}`} name=${name} aside=${short} state=${one.state} figure=${rate(one.instances_per_second, 'images/s')}>
      <div class="source">
        <div class="source-seen">
          <${LivePicture} key=${`${one.series} ${given.session.phi}`} study=${one.study} series=${one.series} label=${`${name}, series ${short}`} note=${noteOf(null, one, status)} />
        </div>
        <${Values} of=${[
    ['Size', one.size ? `${one.size[1]} × ${one.size[0]}` : NONE],
    ['Images held', count(one.instances)],
    ['Readers', count(one.readers.length)],
    ['Most behind', plural(Math.max(0, ...one.readers.map((reader) => reader.behind)), 'image')],
  ]} />
        <div class="source-told">
          <${Patient} path=${seriesUrl(one.study, one.series, 'context')} says=${{}} warnings=${[]} changes=${one.series} ...${given} />
        </div>
      </div>
    </${Card}>`;
}

const statuses = (stored) => Object.fromEntries(
  Object.entries(stored).map(([code, n]) => [code === '0000' ? 'Success' : `${code}H`, n]),
);

const Dimse = ({ dimse }) => html`
  <${Section} title="C-STORE" id="dimse">
    <div class="card"><${Values} of=${[
  ['AE title', dimse.ae_title],
  ['Open associations', count(dimse.associations)],
  ['C-STOREs by status', html`<${Reasons} counts=${statuses(dimse.stored)} />`],
  ['Associations refused', html`<${Reasons} counts=${dimse.refused} />`],
]} /></div>
  </${Section}>`;

function Ris({ status }) {
  const worklists = status.worklists.map((one) => ({
    ...one,
    what: 'Worklist',
    state: one.last_error ? html`<${State} name=${one.last_error} kind="error" />` : one.age_seconds == null ? html`<${State} name="Never answered" kind="warning" />`
      : `${plural(one.entries, 'entry', 'entries')}, answered ${duration(one.age_seconds)} ago`,
  }));
  const told = status.mpps.map((one) => ({ ...one, what: 'Performed steps (MPPS)', state: one.last_error ? html`<${State} name=${one.last_error} kind="error" />` : `${count(one.told)} taken, ${count(one.failed)} not taken` }));
  return html`
    <${Section} title="RIS" id="ris">
      <${Table} caption="Worklists and performed procedure steps" rows=${[...worklists, ...told]} keyOf=${(row) => `${row.what} ${row.name}`} columns=${[
    ['Peer', (row) => html`<b>${row.name}</b>`],
    ['For', (row) => row.what],
    ['Address', (row) => row.address],
    ['State', (row) => row.state],
  ]} />
    </${Section}>`;
}
