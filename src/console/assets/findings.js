// What is wrong and how to mend it: the worst of it on every page, and on each page what concerns it.

import { html } from './html.js';
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

const What = ({ kind, children, mend }) => html`
  <${Icon} kind=${kind} /><span>${children}${mend ? html` <span class="finding-mend">${mend}</span>` : ''}</span>`;

const named = (finding) => html`<b>${WORD[finding.severity]}</b>, ${finding.place}: ${finding.what}`;

// The line that is always there. It is a live region whose words change only when what is wrong does.
export function Health({ status, link }) {
  if (link.state === 'lost') {
    return html`
      <div class="health health-error" role="status">
        <${What} kind="error" mend="It is tried again by itself. Is the box on, and this computer on its network?">
          <b>Connection lost</b> at ${clock(link.since)}. What is shown is from then.</${What}>
      </div>`;
  }
  if (!status) return html`<div class="health" role="status"><${What} kind="busy">Connecting…</${What}></div>`;
  const bad = status.findings.filter((finding) => finding.severity !== 'note');
  if (bad.length === 0) {
    return html`<div class="health health-ok" role="status"><${What} kind="ok"><b>All is well.</b></${What}></div>`;
  }
  const [worst] = bad;
  const more = bad.length > 1 ? ` (and ${bad.length - 1} more)` : '';
  return html`
    <div class="health health-${worst.severity}" role="status">
      <${What} kind=${worst.severity} mend=${worst.mend}>${named(worst)}</${What}>
      <a href="#/${pageOf(worst)}">Show${more}</a>
    </div>`;
}

// The findings of one page but for the one that stands above it already.
export function Findings({ status, page }) {
  const own = of(status, page).filter((finding) => finding !== status.findings[0] || finding.severity === 'note');
  if (own.length === 0) return null;
  return html`
    <ul class="findings" aria-label="Findings of this page">${own.map((finding) => html`
      <li key=${`${finding.place} ${finding.what}`} class="finding finding-${finding.severity}">
        <${What} kind=${finding.severity} mend=${finding.mend}>${named(finding)}</${What}>
      </li>`)}</ul>`;
}
