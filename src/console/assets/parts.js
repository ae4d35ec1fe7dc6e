// The small pieces that pages are made of. A state is never told by colour alone: it has a shape and a word too.

import { html, useEffect, useRef, useState } from './html.js';
import { NONE, clock, count, day, utc, words } from './format.js';

const SHAPES = {
  ok: 'M3 8.5l3.2 3.2L13 5',
  error: 'M4 4l8 8M12 4l-8 8',
  warning: 'M8 2.5L14.5 13.5h-13zM8 6.5v3.2M8 11.4v.6',
  note: 'M8 1.5a6.5 6.5 0 1 0 .01 0M8 7.5v4M8 4.6v.1',
  paused: 'M5.5 3.5v9M10.5 3.5v9',
  off: 'M3.5 8h9',
  busy: 'M8 3a5 5 0 1 0 5 5',
  locked: 'M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5',
  open: 'M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 4.8-1',
};

export const Icon = ({ kind }) => html`
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=${SHAPES[kind] ?? SHAPES.note} /></svg>`;

// What the box calls a state, and how bad that is.
const KINDS = {
  streaming: 'ok', live: 'ok', sending: 'ok', connected: 'ok', idle: 'off', waiting: 'off', completed: 'off', stopped: 'off',
  starting: 'busy', paused: 'paused', suspended: 'paused', retrying: 'warning', away: 'warning', aborted: 'warning',
  absent: 'error', unusable: 'error', stalled: 'error', 'no-signal': 'error', 'no-lock': 'error', 'out-of-range': 'error',
};

export const State = ({ name, kind = KINDS[name] ?? 'note' }) => html`
  <span class="state state-${kind}"><${Icon} kind=${kind} />${words(name)}</span>`;

// A time of day, with the day when it is not today, and UTC for the log beside it.
export function Time({ at, both = false }) {
  if (!at) return NONE;
  const today = new Date(at).toDateString() === new Date().toDateString();
  return html`<time datetime=${at} title=${utc(at)}>${both || !today ? `${day(at)}, ` : ''}${clock(at)}</time>`;
}

// Names and values; a third member makes one as wide as the card.
export const Values = ({ of }) => html`
  <dl class="values">${of.map(([name, value, wide]) => html`
    <div key=${name} class=${wide ? 'value wide' : 'value'}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

// One thing with its state and the figure that says most of it.
export const Card = ({ label, name, aside, state, kind, figure, children }) => html`
  <article class="card" aria-label=${label}>
    <div class="card-head">
      <h2>${name}${aside ? html` <span class="quiet">${aside}</span>` : ''}</h2>
      ${state ? html`<${State} name=${state} kind=${kind} />` : null}
      ${figure ? html`<span class="card-figure">${figure}</span>` : null}
    </div>
    ${children}
  </article>`;

export const Section = ({ title, id, children }) => html`
  <section class="section" aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Refusal = ({ said }) => (said ? html`<p class="refused" role="alert">${said}</p>` : null);

export const Advice = ({ children }) => html`<p class="advice">${children}</p>`;

// Counts by reason, those that are not zero; the sum is told where all of them are.
export function Reasons({ counts, show = count, none = 'none' }) {
  const some = Object.entries(counts ?? {}).filter(([, n]) => n > 0);
  if (some.length === 0) return none;
  return html`<ul class="reasons">${some.map(([name, n]) => html`<li key=${name}>${words(name)} <b>${show(n)}</b></li>`)}</ul>`;
}

// How full something is. `text` says it in words, which is what a screen reader says.
export function Meter({ part, whole, label, text, bad = 0.9 }) {
  const share = whole > 0 ? Math.min(1, part / whole) : 0;
  return html`
    <div class="meter ${share >= bad ? 'meter-bad' : ''}" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${Math.round(share * 100)} aria-valuetext=${text}>
      <div class="meter-fill" style=${{ width: `${share * 100}%` }}></div>
    </div>`;
}

// A table that becomes a list of cards where there is no width for it. The roles are spelled out, since browsers drop those
// of a table that is no longer laid out as one. `columns` are pairs of a name and what a row has there; a third member says
// that it is a number. `none` is said where there is no row.
export function Table({ caption, columns, rows, keyOf, none }) {
  if (rows.length === 0) return html`<${Empty}>${none}</${Empty}>`;
  const look = (number) => (number ? 'number' : '');
  return html`
    <table class="table" role="table">
      <caption class="visually-hidden">${caption}</caption>
      <thead role="rowgroup"><tr role="row">${columns.map(([name, , number]) => html`
        <th key=${name} role="columnheader" scope="col" class=${look(number)}>${name}</th>`)}</tr></thead>
      <tbody role="rowgroup">${rows.map((row) => html`
        <tr role="row" key=${keyOf(row)}>${columns.map(([name, cell, number]) => html`
          <td key=${name} role="cell" data-name=${name} class=${look(number)}><div>${cell(row)}</div></td>`)}</tr>`)}</tbody>
    </table>`;
}

// A button that does something on the box: shows that it is being done, and says what came of it where that went wrong.
export function Action({ label, run, kind = '', describe, tell }) {
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState('');
  const here = useRef(true);
  useEffect(() => () => { here.current = false; }, []);
  const act = async () => {
    if (busy) return;
    setBusy(true);
    setRefused('');
    try {
      await run();
      tell?.();
    } catch (error) {
      if (here.current) setRefused(error.message);
    } finally {
      if (here.current) setBusy(false);
    }
  };
  return html`
    <span class="action">
      <button type="button" class=${kind} aria-disabled=${busy ? 'true' : undefined} aria-label=${describe}
        onClick=${act}>${busy ? html`<${Icon} kind="busy" />` : null}${label}</button>
      <${Refusal} said=${refused} />
    </span>`;
}

// A question before something that is not easily undone. The browser keeps the focus in it and gives it back.
export function Dialog({ title, onClose, children, wide = false }) {
  const dialog = useRef(null);
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      before?.focus?.();
    };
  }, []);
  return html`
    <dialog ref=${dialog} class=${wide ? 'wide' : ''} aria-label=${title} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
      <h2>${title}</h2>
      ${children}
    </dialog>`;
}

// Draws again every second, where what is shown is how long ago something was.
export function useTick() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
}

// Whether anybody can see the page.
export function useVisible() {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const look = () => setVisible(!document.hidden);
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  return visible;
}
