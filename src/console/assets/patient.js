// Who is imaged, for those who may know and have said that they want to. What is shown lives in this component alone: hiding
// patients, another page or the end of the session takes it from memory with the component.

import { html, useEffect, useState } from './html.js';
import { get } from './api.js';
import { Advice, Icon, Refusal, Values } from './parts.js';
import { NONE, person, words } from './format.js';

const ROWS = [
  ['Patient', 'patient_name', person],
  ['Patient ID', 'patient_id', String],
  ['Accession number', 'accession_number', String],
  ['Study', 'study_description', String],
  ['Scheduled step', 'scheduled_procedure_step_id', String],
];

// In place of patients while they are hidden, with the way to see them for those who may.
export function Locked({ session, showPatients, children }) {
  const [refused, setRefused] = useState('');
  const show = () => showPatients(true).catch((error) => setRefused(error.message));
  return html`
    <p class="patient-locked"><${Icon} kind="locked" /><span>${children}</span>
      ${session.rights.includes('phi') ? html`<button type="button" class="plain" onClick=${show}>Show patient data</button>` : null}</p>
    <${Refusal} said=${refused} />`;
}

// `says` tells of each attribute who has said it; `changes` is another value whenever the answer may be another one.
export function Patient({ path, says, warnings, changes, ...given }) {
  const providers = new Set(Object.values(says));
  const nobody = providers.delete('generated') && providers.size === 0;
  const said = [...providers].map((one) => words(one).toLowerCase()).join(', ');
  return html`
    <div class="patient">
      ${given.session.phi ? html`<${Shown} key=${path} path=${path} changes=${changes} />` : html`<${Locked} ...${given}>Patient hidden</${Locked}>`}
      ${said || nobody ? html`<p class="quiet">${nobody ? 'Nobody has said who is imaged' : `Said by ${said}`}</p>` : null}
      ${warnings.map((warning) => html`<${Advice} key=${warning}>${warning}</${Advice}>`)}
    </div>`;
}

function Shown({ path, changes }) {
  const [context, setContext] = useState(null);
  const [refused, setRefused] = useState('');
  useEffect(() => {
    let current = true;
    // Rather nobody than the one before.
    setContext(null);
    setRefused('');
    get(path).then(
      (answer) => current && setContext(answer),
      (error) => current && setRefused(error.message),
    );
    return () => { current = false; };
  }, [path, changes]);
  if (refused) return html`<${Refusal} said=${refused} />`;
  const valueOf = (key, show) => {
    if (!context) return '…';
    if (context.masked) return 'hidden';
    return context[key] ? show(context[key]) : NONE;
  };
  return html`<${Values} of=${ROWS.map(([name, key, show], at) => [name, valueOf(key, show), at === 0])} />`;
}
