// The configuration of the room: one file that beats those that the box began with. The box tries a change, and takes it back
// unless somebody comes back here and confirms it: whoever has locked themselves out waits, and is let in again.

import { html, useEffect, useState } from './html.js';
import { get, post } from './api.js';
import { Action, Advice, Empty, Refusal, Section, State } from './parts.js';
import { plural } from './format.js';

const OUTCOMES = {
  refused: { name: 'refused', kind: 'error', said: (why) => `The box has refused the last change: ${why}` },
  trying: { name: 'being tried', kind: 'busy', said: () => 'The box starts its gateway with the change.' },
  waiting: { name: 'to be confirmed', kind: 'warning', said: (seconds) => `The change is in force. Confirm it within ${seconds} seconds of its start; else it is taken back.` },
  kept: { name: 'kept', kind: 'ok', said: () => 'The last change was confirmed.' },
  'taken-back': { name: 'taken back', kind: 'error', said: (why) => `The last change was taken back: ${why}.` },
};

export function Configuration({ session, feed }) {
  const [shown, setShown] = useState(null);
  const [text, setText] = useState(null);
  const [refused, setRefused] = useState('');
  const [changed, setChanged] = useState(null);
  const look = () => get('/api/configuration').then(setShown).catch((error) => setRefused(error.message));
  // Again whenever the box is back.
  useEffect(() => { look(); }, [feed.link.generation]);
  if (!session.rights.includes('configure')) {
    return html`<${Empty}>Only who has the right <code>configure</code> may change the configuration.</${Empty}>`;
  }
  if (!shown) return refused ? html`<${Refusal} said=${refused} />` : html`<${Empty}>Reading…</${Empty}>`;
  const apply = async () => {
    setRefused('');
    setChanged(null);
    const answer = await post('/api/configuration/want', { text: text ?? shown.text });
    setChanged(answer.changes);
    if (answer.changes.length > 0) setShown({ ...shown, text: text ?? shown.text, outcome: { state: 'trying', said: '' } });
  };
  const confirm = async () => {
    await post('/api/configuration/confirm');
    setShown({ ...shown, outcome: { state: 'kept', said: '' } });
  };
  const outcome = shown.outcome ? OUTCOMES[shown.outcome.state] : null;
  return html`
    ${outcome ? html`<div class="card" role="status"><p><${State} name=${outcome.name} kind=${outcome.kind} /> ${outcome.said(shown.outcome.said)}</p>
      ${shown.outcome.state === 'waiting' ? html`<${Action} label="Confirm" kind="main" run=${confirm} />` : null}</div>` : null}
    <${Section} title="Settings of this room" id="settings">
      <p>These settings beat all others of the box, key by key; without a line here, what the box began with holds.
        The keys are those of the annotated <code>framegate.toml</code>.</p>
      <label for="configuration-text">Settings (TOML)</label>
      <textarea id="configuration-text" class="configuration" rows="18" spellcheck=${false} autocomplete="off" autocapitalize="off"
        value=${text ?? shown.text} onInput=${(event) => setText(event.currentTarget.value)}></textarea>
      ${shown.possible ? html`<${Advice}>The gateway starts again with them: streams break off for some seconds, and everybody is logged
          out of the console. Log in again and confirm, or the box goes back after three minutes.</${Advice}>
        <p><${Action} label="Check and apply" kind="main" run=${apply} /></p>`
    : html`<${Advice}>This machine is no appliance: its configuration is changed in its files.</${Advice}>`}
      ${changed === null ? null : html`<p role="status">${changed.length === 0 ? 'Nothing changes by this.'
    : html`${plural(changed.length, 'key')} changed: <code>${changed.join(', ')}</code>`}</p>`}
      <${Refusal} said=${refused} />
    </${Section}>`;
}
