// What is wrong and how to mend it: the worst of it on every page, and on each page what concerns it.

import { html, useMemo } from './html.js';
import { Icon } from './parts.js';
import { clock } from './format.js';

const WORD = { error: 'Error', warning: 'Warning', note: 'Note' };

// The first word of a finding's place says which page shows it; what no page claims is for the page of the machine.
const PAGES = {
  live: ['capture', 'dimse', 'worklist', 'mpps', 'pattern'],
  streams: ['series', 'hub', 'reader'],
  destinations: ['destination', 'subscription'],
  relay: ['relay', 'spool'],
  network: ['listener', 'certificate', 'clock', 'network', 'dicomweb', 'console', 'audit', 'dns', 'address'],
};

export function pageOf(finding) {
  const first = finding.place.split(/[ .:]/)[0];
  return Object.keys(PAGES).find((page) => PAGES[page].includes(first)) ?? 'system';
}

const of = (status, page) => status.findings.filter((finding) => pageOf(finding) === page);

// How many errors and warnings a page has; notes are no reason to go there.
export function troubles(status, page) {
  const bad = (status ? of(status, page) : []).filter((finding) => finding.severity !== 'note');
  return { count: bad.length, kind: bad[0]?.severity };
}

const What = ({ kind, lead, text, mend }) => html`
  <${Icon} kind=${kind} /><span><b>${lead}</b>${text}${mend ? html` <span class="finding-mend">${mend}</span>` : ''}</span>`;

const named = (finding) => ({ kind: finding.severity, lead: WORD[finding.severity], text: `, ${finding.place}: ${finding.what}`, mend: finding.mend });

// The line that is always there. What a screen reader says of it changes only when something else is the worst: numbers in
// it may change every second.
export function Health({ status, link }) {
  const bad = (status?.findings ?? []).filter((finding) => finding.severity !== 'note');
  const [worst] = bad;
  const line = lineOf(status, link, worst);
  const spoken = useMemo(() => `${line.lead}${line.text} ${line.mend}`, [line.kind, link.state, worst?.place]);
  const more = bad.length > 1 ? ` (and ${bad.length - 1} more)` : '';
  return html`
    <div class="health health-${line.kind}">
      <${What} ...${line} />
      ${worst && link.state !== 'lost' ? html`<a href="#/${pageOf(worst)}">Show${more}</a>` : null}
    </div>
    <div class="visually-hidden" role="status">${spoken}</div>`;
}

function lineOf(status, link, worst) {
  if (link.state === 'lost') {
    return {
      kind: 'error',
      lead: 'Connection lost',
      text: ` at ${clock(link.since)}. What is shown is from then.`,
      mend: 'It is tried again by itself. Is the box on, and this computer on its network?',
    };
  }
  if (!status) return { kind: 'busy', lead: 'Connecting…', text: '', mend: '' };
  return worst ? named(worst) : { kind: 'ok', lead: 'All is well.', text: '', mend: '' };
}

// The findings of one page but for the one that stands above it already.
export function Findings({ status, page }) {
  const own = of(status, page).filter((finding) => finding !== status.findings[0] || finding.severity === 'note');
  if (own.length === 0) return null;
  return html`
    <ul class="findings" aria-label="Findings of this page">${own.map((finding, at) => html`
      <li key=${at} class="finding finding-${finding.severity}">
        <${What} ...${named(finding)} />
      </li>`)}</ul>`;
}
