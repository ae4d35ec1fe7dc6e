// Values as people read them: numbers with their units, times in the zone of the browser.

// Keeps a number and its unit on one line.
const GAP = '\u00a0';
const WHOLE = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const ONE_PLACE = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export const NONE = '–';

export const count = (n) => (n == null ? NONE : WHOLE.format(n));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// A rate, to one place below ten.
export const rate = (n, unit) => (n == null ? NONE : `${n >= 100 || n === 0 ? WHOLE.format(n) : ONE_PLACE.format(n)}${GAP}${unit}`);

export function bytes(n) {
  if (n == null) return NONE;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = n;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? WHOLE.format(value) : ONE_PLACE.format(value)}${GAP}${units[unit]}`;
}

// A length of time in its two largest units.
export function duration(seconds) {
  if (seconds == null) return NONE;
  const units = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first === -1) return `0${GAP}s`;
  let left = Math.floor(seconds);
  const words = units.slice(first, first + 2).map(([name, size]) => {
    const n = Math.floor(left / size);
    left -= n * size;
    return n > 0 || name === units[first][0] ? `${n}${GAP}${name}` : '';
  });
  return words.filter(Boolean).join(' ');
}

// A short length of time, in seconds.
export function latency(seconds) {
  if (seconds < 0.001) return `${count(seconds * 1e6)}${GAP}µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))}${GAP}ms`;
  return `${Number(seconds.toPrecision(3))}${GAP}s`;
}

export const percent = (part, whole) => (whole > 0 ? `${WHOLE.format((100 * part) / whole)}${GAP}%` : NONE);

export const clock = (when) => CLOCK.format(new Date(when));
export const day = (when) => DAY.format(new Date(when));
export const utc = (when) => `${new Date(when).toISOString().replace('T', ' ').slice(0, 19)} UTC`;

// A state or reason of the box as words: `no-signal` is No signal.
export function words(name) {
  const text = String(name).replaceAll(/[-_]/g, ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// The end of a UID, which tells it from others of the same box.
export const shortUid = (uid) => (uid.length > 14 ? `…${uid.slice(-12)}` : uid);

// A person's name as DICOM writes it (PS3.5 section 6.2.1): family, given; groups beside each other.
export function person(value) {
  const groups = value.split('=').map((group) => {
    const [family, ...others] = group.split('^');
    const rest = others.filter(Boolean).join(' ');
    return rest ? `${family}, ${rest}` : family;
  });
  return groups.filter(Boolean).join(' · ');
}

// When a step is scheduled, in the zone of the RIS (`2026-11-26T08:15`).
export const scheduled = (value) => value.replace('T', ' ') || NONE;
