// The one stream that everything on the page comes from: Server-Sent Events with the status and with new journal entries. It
// opens itself again when it breaks, and says so meanwhile: values of an hour ago must not look like those of now.

import { useEffect, useRef, useState } from './html.js';
import { get, session } from './api.js';

// The box says something at least every 15 seconds; a connection that says nothing for longer is dead.
const SILENCE_MS = 20_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10_000;
// As many as the box itself keeps.
const MOST_ENTRIES = 2_000;

// `status` (null before the first), `entries` (oldest first), `link` ('opening', 'live' or 'lost'), `since` (when that began),
// `generation` (counts connections), and `loadJournal`, which fetches what was said before this page listened.
export function useFeed(onGone) {
  const [status, setStatus] = useState(null);
  const [link, setLink] = useState({ state: 'opening', since: Date.now(), generation: 0 });
  const [entries, setEntries] = useState([]);
  const last = useRef(null);

  useEffect(() => {
    let source = null;
    let retry = FIRST_RETRY_MS;
    let silence = 0;
    let again = 0;
    const closed = () => source === null;

    const lose = async () => {
      if (closed()) return;
      source.close();
      source = null;
      clearTimeout(silence);
      setLink((now) => (now.state === 'lost' ? now : { ...now, state: 'lost', since: Date.now() }));
      again = setTimeout(reopen, retry);
      retry = Math.min(retry * 2, LAST_RETRY_MS);
    };
    // A stream that is refused does not say why: the session does.
    const reopen = async () => {
      const attempt = again;
      const gone = await session().then((answer) => answer.session === null, () => false);
      if (attempt !== again) return;
      if (gone) onGone();
      else open();
    };
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(lose, SILENCE_MS);
    };
    const open = () => {
      source = new EventSource('/api/events');
      heard();
      source.onopen = () => {
        heard();
        // The box may have been started again, and its entries be numbered from the beginning.
        setEntries([]);
      };
      source.onerror = lose;
      source.addEventListener('status', (event) => {
        heard();
        retry = FIRST_RETRY_MS;
        const next = { ...JSON.parse(event.data), received: Date.now() };
        addThroughput(next, last.current);
        last.current = next;
        setStatus(next);
        setLink((now) => (now.state === 'live' ? now : { state: 'live', since: Date.now(), generation: now.generation + 1 }));
      });
      source.addEventListener('journal', (event) => {
        heard();
        const more = JSON.parse(event.data);
        setEntries((now) => merge(now, more));
      });
    };
    open();
    return () => {
      clearTimeout(silence);
      clearTimeout(again);
      again = -1;
      source?.close();
      source = null;
    };
  }, []);

  const loadJournal = async () => {
    let after = 0;
    // Bounded: the box keeps no more than this many, whatever it answers.
    for (let asked = 0; asked < 20; asked += 1) {
      const answer = await get(`/api/journal?after=${after}`);
      setEntries((now) => merge(now, answer.entries));
      if (answer.entries.length === 0 || answer.next <= after) return;
      after = answer.next;
    }
  };
  return { status, link, entries, loadJournal };
}

// Bytes a second of each destination: the difference between this status and the one before.
function addThroughput(next, before) {
  const seconds = before ? (Date.parse(next.at) - Date.parse(before.at)) / 1000 : 0;
  for (const destination of next.destinations) {
    const then = before?.destinations.find((other) => other.name === destination.name);
    const grown = then ? destination.bytes - then.bytes : 0;
    destination.bytes_per_second = seconds > 0 && grown > 0 ? grown / seconds : 0;
  }
}

// Entries in the order of their numbers, each once, the newest that fit.
function merge(now, more) {
  const all = new Map([...now, ...more].map((entry) => [entry.sequence, entry]));
  return [...all.values()].sort((a, b) => a.sequence - b.sequence).slice(-MOST_ENTRIES);
}
