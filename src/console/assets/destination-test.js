// Tries the way to a destination, step by step, and says at which one it ends.

import { html, useState } from './html.js';
import { post } from './api.js';
import { Action, Advice, Icon } from './parts.js';

const STEPS = { dns: 'Name', tcp: 'Connection', tls: 'TLS', http: 'HTTP' };

export function DestinationTest({ name }) {
  const [result, setResult] = useState(null);
  const test = async () => {
    setResult(null);
    setResult(await post(`/api/destinations/${encodeURIComponent(name)}/test`));
  };
  return html`
    <div class="test">
      <${Action} label="Test" describe=${`Test destination ${name}`} run=${test} />
      <div class="test-result" role="status">${result ? html`
        <p><${Icon} kind=${result.ok ? 'ok' : 'error'} /><b>${result.ok ? `${name} can be reached.` : `${name} cannot be used.`}</b></p>
        <ol>${result.steps.map((step) => html`
          <li key=${step.name}><${Icon} kind=${step.ok ? 'ok' : 'error'} /><span><b>${STEPS[step.name] ?? step.name}</b>
            ${step.ok ? '' : ' failed'}: ${step.said || 'well'} <span class="quiet">${step.milliseconds} ms</span></span></li>`)}</ol>
        ${result.mend ? html`<${Advice}>${result.mend}</${Advice}>` : null}` : null}</div>
    </div>`;
}
