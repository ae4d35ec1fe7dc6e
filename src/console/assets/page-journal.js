// What the box has said, the newest first, and what it says now. The filter works on what is here: what somebody types, which
// may be a name, never leaves the page.

import { html, useEffect, useMemo, useState } from './html.js';
import { Empty, Refusal, State, Time } from './parts.js';
import { plural } from './format.js';

const LEVELS = ['error', 'warn', 'info', 'debug'];
const NAMES = { error: 'Errors', warn: 'Warnings and worse', info: 'Information and worse', debug: 'Everything' };
const KINDS = { error: 'error', warn: 'warning', info: 'note', debug: 'off' };
const MOST_SHOWN = 500;

const rank = (level) => {
  const at = LEVELS.indexOf(level);
  return at === -1 ? LEVELS.length - 1 : at;
};

export function Journal({ feed }) {
  const { entries, link, loadJournal } = feed;
  const [level, setLevel] = useState('info');
  const [text, setText] = useState('');
  const [heldAt, setHeldAt] = useState(null);
  const [refused, setRefused] = useState('');
  useEffect(() => {
    setRefused('');
    loadJournal().catch((error) => setRefused(error.message));
  }, [link.generation]);
  const held = heldAt !== null;
  const shown = useMemo(() => {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (entry) => {
      const said = `${entry.event} ${entry.target} ${entry.text}`.toLowerCase();
      return rank(entry.level) <= rank(level) && (heldAt === null || entry.sequence <= heldAt) && wanted.every((word) => said.includes(word));
    };
    return entries.filter(fits).reverse();
  }, [entries, level, text, heldAt]);
  const newer = held ? entries.filter((entry) => entry.sequence > heldAt && rank(entry.level) <= rank(level)).length : 0;
  return html`
    <div class="filter" role="search" aria-label="Filter the journal">
      <div><label for="journal-level">Level</label>
        <select id="journal-level" value=${level} onChange=${(event) => setLevel(event.currentTarget.value)}>
          ${LEVELS.map((one) => html`<option key=${one} value=${one}>${NAMES[one]}</option>`)}</select></div>
      <div class="grow"><label for="journal-text">Text</label>
        <input id="journal-text" type="search" autocomplete="off" spellcheck=${false} value=${text} onInput=${(event) => setText(event.currentTarget.value)} /></div>
      <button type="button" aria-pressed=${held ? 'true' : 'false'}
        onClick=${() => setHeldAt(held ? null : entries.at(-1)?.sequence ?? 0)}>${held ? `Follow (${newer} new)` : 'Hold'}</button>
    </div>
    <${Refusal} said=${refused} />
    <p class="quiet">${plural(shown.length, 'entry', 'entries')}${shown.length > MOST_SHOWN ? `, the newest ${MOST_SHOWN} shown` : ''}, newest first. No entry names a patient.</p>
    ${shown.length === 0 ? html`<${Empty}>No entry fits.</${Empty}>` : html`
      <ol class="journal" aria-label="Journal entries" reversed>${shown.slice(0, MOST_SHOWN).map((entry) => html`
        <li key=${entry.sequence}>
          <span class="journal-at"><${Time} at=${entry.at} /></span>
          <${State} name=${entry.level} kind=${KINDS[entry.level]} />
          <span class="journal-text">${entry.text} <span class="quiet">${entry.event || entry.target}</span></span>
        </li>`)}</ol>`}`;
}
