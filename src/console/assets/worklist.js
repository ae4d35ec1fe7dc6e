// The choice of whose pictures come next, from what the RIS has scheduled. Radio buttons in a form: arrows move, Enter chooses,
// and a second look at the choice comes before it counts.

import { html, useEffect, useMemo, useState } from './html.js';
import { captureUrl, get, post } from './api.js';
import { Locked } from './patient.js';
import { Dialog, Empty, Refusal } from './parts.js';
import { NONE, person, plural, scheduled } from './format.js';

const MOST_SHOWN = 200;

export function WorklistDialog(given) {
  return html`
    <${Dialog} title=${`Choose the patient on ${given.capture}`} onClose=${given.onClose} wide>
      <${Choice} key=${given.session.phi ? 'open' : 'locked'} ...${given} />
    </${Dialog}>`;
}

function Choice({ capture, session, showPatients, onClose }) {
  const [entries, setEntries] = useState(null);
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState('');
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState('');
  useEffect(() => {
    let current = true;
    get('/api/worklist').then(
      (answer) => current && setEntries(answer.entries),
      (error) => current && setRefused(error.message),
    );
    return () => { current = false; };
  }, []);
  const found = useMemo(() => filter(entries ?? [], text), [entries, text]);
  const shown = found.slice(0, MOST_SHOWN);
  const entry = shown.find(({ id }) => id === chosen);
  const choose = async (event) => {
    event.preventDefault();
    if (!entry || busy) return;
    setBusy(true);
    setRefused('');
    try {
      await post(captureUrl(capture, 'step'), { id: entry.id });
      onClose();
    } catch (error) {
      setRefused(error.status === 404 ? 'The RIS no longer has this entry. Close this and open it again.' : error.message);
      setBusy(false);
    }
  };
  return html`
    <form class="worklist" onSubmit=${choose}>
      ${session.phi ? null : html`<${Locked} session=${session} showPatients=${showPatients}>Patients are hidden; steps are told by time and procedure.</${Locked}>`}
      <label for="worklist-search">Search</label>
      <input id="worklist-search" type="search" autocomplete="off" spellcheck=${false} value=${text} onInput=${(event) => setText(event.currentTarget.value)} />
      <p class="quiet" role="status">${entries ? plural(found.length, 'entry', 'entries') : 'Asking the box…'}${found.length > MOST_SHOWN ? `, of which the first ${MOST_SHOWN} are shown` : ''}</p>
      <fieldset>
        <legend class="visually-hidden">Scheduled procedure steps</legend>
        ${shown.map((one) => html`
          <label key=${one.id} class="entry">
            <input type="radio" name="step" value=${one.id} checked=${one.id === chosen} onChange=${() => setChosen(one.id)} />
            <span>${scheduled(one.start)}</span>
            <span class="entry-who">${session.phi ? html`<b>${one.patient_name ? person(one.patient_name) : NONE}</b> ${one.patient_id ?? ''}` : html`<b>${one.description || NONE}</b>`}</span>
            <span class="entry-what">${[session.phi ? one.description : '', one.modality, one.station, one.accession_number].filter(Boolean).join(' · ')}</span>
          </label>`)}
        ${entries?.length === 0 ? html`<${Empty}>The RIS has scheduled nothing for this room, or has not answered.</${Empty}>` : null}
      </fieldset>
      <${Refusal} said=${refused} />
      <div class="controls">
        <button type="submit" class="main" disabled=${!entry} aria-disabled=${busy ? 'true' : undefined}>Use this patient</button>
        <button type="button" onClick=${onClose}>Cancel</button>
      </div>
    </form>`;
}

// Entries that have every word somewhere, in the order of their start.
function filter(entries, text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  const holds = (entry) => {
    const all = [scheduled(entry.start), entry.modality, entry.station, entry.description, entry.patient_name, entry.patient_id, entry.accession_number];
    const said = all.filter(Boolean).join(' ').toLowerCase();
    return wanted.every((word) => said.includes(word));
  };
  return entries.filter(holds).sort((a, b) => a.start.localeCompare(b.start));
}
