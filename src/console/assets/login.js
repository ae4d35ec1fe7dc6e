// Who comes in: by a one-time code that the box shows to whoever stands before it, or by a client certificate that it knows.

import { html, useEffect, useRef, useState } from './html.js';
import { login } from './api.js';
import { Refusal } from './parts.js';
import { plural } from './format.js';

function wordsOf(error, byCode) {
  if (error.status === 429) {
    const wait = error.retryAfter ? ` Try again in ${plural(error.retryAfter, 'second')}.` : ' Wait a minute, then try again.';
    return `Too many tries.${wait}`;
  }
  if (error.status === 401) {
    return byCode ? 'This code is wrong, has been used, or has run out. Take a new one from the box.'
      : 'The box does not let this certificate in. Log in with a code.';
  }
  return error.message;
}

export function Login({ certificate, said, onDone }) {
  const [code, setCode] = useState('');
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState(said);
  const field = useRef(null);
  useEffect(() => {
    document.title = 'Log in · framegate';
  }, []);
  useEffect(() => setRefused(said), [said]);
  const enter = async (value) => {
    setBusy(true);
    setRefused('');
    try {
      await login(value);
      onDone();
    } catch (error) {
      setRefused(wordsOf(error, Boolean(value)));
      setBusy(false);
      if (value) {
        setCode('');
        field.current?.focus();
      }
    }
  };
  const submit = (event) => {
    event.preventDefault();
    const digits = code.replaceAll(/[\s-]/g, '');
    if (digits && !busy) enter(digits);
  };
  return html`
    <main class="login">
      <p class="brand">framegate</p>
      <h1>Log in to this box</h1>
      ${certificate ? html`
        <button type="button" class="main" aria-disabled=${busy ? 'true' : undefined} onClick=${() => !busy && enter('')}>Log in with your certificate</button>
        <p class="quiet">Your browser shows a certificate that this box knows. Or:</p>` : null}
      <form onSubmit=${submit}>
        <label for="code">One-time code</label>
        <input id="code" ref=${field} name="code" autocomplete="one-time-code" inputmode="numeric" spellcheck=${false} required
          aria-describedby="code-help" maxlength="64" value=${code} onInput=${(event) => setCode(event.currentTarget.value)} />
        <button type="submit" class=${certificate ? '' : 'main'} aria-disabled=${busy ? 'true' : undefined}>Log in</button>
      </form>
      <${Refusal} said=${refused} />
      <div id="code-help" class="quiet">
        <p>The code is on the screen of the box and on its serial console. Whoever has a shell there gets one
          with <code>framegate console-code</code>. Each code works once, for a few minutes. There is no password.</p>
      </div>
    </main>`;
}
