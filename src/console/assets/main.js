// The frame around all pages: who is logged in, which page is shown, what the box says of itself. The page's address holds the
// name of a page and nothing else; nothing is kept in the browser beyond this document.

import { html, render, useEffect, useErrorBoundary, useRef, useState } from './html.js';
import { onSignedOut, post, session as askSession, useToken } from './api.js';
import { useFeed } from './feed.js';
import { Findings, Health, troubles } from './findings.js';
import { Icon, Refusal } from './parts.js';
import { Login } from './login.js';
import { Live } from './page-live.js';
import { Streams } from './page-streams.js';
import { Destinations } from './page-destinations.js';
import { Relay } from './page-relay.js';
import { Network } from './page-network.js';
import { System } from './page-system.js';
import { Journal } from './page-journal.js';
import { Configuration } from './page-configuration.js';

const PAGES = [
  { id: 'live', name: 'Live', page: Live },
  { id: 'streams', name: 'Streams', page: Streams },
  { id: 'destinations', name: 'Destinations & subscriptions', page: Destinations },
  { id: 'relay', name: 'Relay', page: Relay },
  { id: 'network', name: 'Network & certificates', page: Network },
  { id: 'system', name: 'System', page: System },
  { id: 'journal', name: 'Journal', page: Journal },
  { id: 'configuration', name: 'Configuration', page: Configuration, right: 'configure' },
];

const pageNow = () => PAGES.find((page) => location.hash === `#/${page.id}`) ?? PAGES[0];

function usePage() {
  const [page, setPage] = useState(pageNow);
  useEffect(() => {
    const go = () => setPage(pageNow());
    addEventListener('hashchange', go);
    // It may have changed since it was read.
    go();
    return () => removeEventListener('hashchange', go);
  }, []);
  return page;
}

function Navigation({ page, status, session }) {
  const [open, setOpen] = useState(false);
  return html`
    <nav class="navigation" aria-label="Pages">
      <button type="button" class="navigation-open" aria-expanded=${open ? 'true' : 'false'} aria-controls="pages"
        onClick=${() => setOpen(!open)}>Pages: ${page.name}</button>
      <ul id="pages" class=${open ? 'open' : ''}>
        ${PAGES.filter(({ right }) => !right || session.rights.includes(right)).map(({ id, name }) => {
    const bad = troubles(status, id);
    return html`<li key=${id}>
            <a href="#/${id}" aria-current=${id === page.id ? 'page' : undefined} onClick=${() => setOpen(false)}>${name}
              ${bad.count > 0 ? html`<span class="troubles state-${bad.kind}"><${Icon} kind=${bad.kind} />${bad.count}<span class="visually-hidden"> to look at</span></span>` : ''}
            </a></li>`;
  })}
      </ul>
    </nav>`;
}

// Whether patients are shown: for as long as somebody who may has said so.
function PatientData({ session, onChange }) {
  const [refused, setRefused] = useState('');
  if (!session.rights.includes('phi')) {
    return html`<span class="quiet"><${Icon} kind="locked" />Patient data hidden</span>`;
  }
  const turn = async () => {
    setRefused('');
    try {
      await onChange(!session.phi);
    } catch (error) {
      setRefused(error.message);
    }
  };
  return html`
    <button type="button" aria-pressed=${session.phi ? 'true' : 'false'} class=${session.phi ? 'unlocked' : ''} onClick=${turn}>
      <${Icon} kind=${session.phi ? 'open' : 'locked'} />${session.phi ? 'Hide patient data' : 'Show patient data'}</button>
    <${Refusal} said=${refused} />`;
}

function Page({ page, ...given }) {
  const [error, reset] = useErrorBoundary((problem) => console.error(problem));
  const heading = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${page.name} · framegate`;
    reset();
    // The address that was asked for is where the browser already is.
    if (first.current) first.current = false;
    else heading.current?.focus();
  }, [page.id]);
  const Body = page.page;
  return html`
    <main id="main" tabindex="-1">
      <h1 ref=${heading} tabindex="-1">${page.name}</h1>
      ${error ? html`<${Refusal} said="This page cannot show what the box says. Load it again; if that does not help, take a support bundle." />`
    : given.status ? html`<${Findings} status=${given.status} page=${page.id} /><${Body} key=${page.id} ...${given} />`
      : html`<p class="empty">Waiting for the box…</p>`}
    </main>`;
}

function Console({ session, onSession, onGone, onLeave }) {
  const feed = useFeed(onGone);
  const page = usePage();
  const { status, link } = feed;
  const showPatients = async (phi) => {
    // What was shown goes before the box is asked, and stays away whatever it answers.
    if (!phi) onSession({ ...session, phi: false });
    await post(phi ? '/api/unlock' : '/api/lock');
    if (phi) onSession({ ...session, phi: true });
  };
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById('main').focus(); }}>Skip to the page</a>
    <header class="top">
      <span class="brand">framegate</span>
      <span class="host">${status?.network.host_name ?? ''}</span>
      <span class="link link-${link.state}"><${Icon} kind=${{ live: 'ok', opening: 'busy', lost: 'error' }[link.state]} />
        ${{ live: 'Live', opening: 'Connecting', lost: 'Connection lost' }[link.state]}</span>
      <span class="top-end">
        <${PatientData} session=${session} onChange=${showPatients} />
        <span class="quiet who">${session.name}</span>
        <button type="button" onClick=${onLeave}>Log out</button>
      </span>
    </header>
    <${Health} status=${status} link=${link} />
    <div class="below ${link.state === 'lost' ? 'stale' : ''}">
      <${Navigation} page=${page} status=${status} session=${session} />
      <${Page} page=${page} session=${session} feed=${feed} status=${status} showPatients=${showPatients} />
    </div>`;
}

function App() {
  const [state, setState] = useState({ asked: false });
  const look = async (said = '') => {
    try {
      const answer = await askSession();
      if (answer.session) useToken(answer.session.csrf);
      setState({ asked: true, ...answer, said });
    } catch (error) {
      setState({ asked: true, session: null, certificate: false, said: error.message });
    }
  };
  const gone = (said = 'Your session has ended. Log in again.') => {
    useToken('');
    look(said);
  };
  const leave = async () => {
    // Whatever is shown goes first, with the streams that it comes from.
    setState({ asked: false });
    await new Promise((drawn) => setTimeout(drawn));
    await post('/api/logout').catch(() => {});
    gone('');
  };
  useEffect(() => {
    onSignedOut(gone);
    look();
    // A page that comes back out of the browser's memory would show what was on it.
    const back = (event) => event.persisted && location.reload();
    addEventListener('pageshow', back);
    return () => removeEventListener('pageshow', back);
  }, []);
  if (!state.asked) return html`<main class="login"><p class="empty">Connecting…</p></main>`;
  if (!state.session) return html`<${Login} certificate=${state.certificate} said=${state.said} onDone=${() => look()} />`;
  return html`<${Console} key=${state.session.csrf} session=${state.session} onGone=${gone} onLeave=${leave}
    onSession=${(session) => setState((now) => ({ ...now, session }))} />`;
}

render(html`<${App} />`, document.getElementById('console'));
