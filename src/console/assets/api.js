// Requests to the box that this page came from. Everything that changes something carries the session's token, and every
// refusal becomes a `Refused` with words that can be shown. Nothing is kept: no answer is cached or stored.

let token = '';
let whenSignedOut = () => {};

// A request that was not granted, or did not arrive (`status` 0).
export class Refused extends Error {
  constructor(status, said, retryAfter) {
    super(said);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

// The token that proves that a request comes from this page (`csrf` of the session).
export function useToken(csrf) {
  token = csrf;
}

// Whom to tell when the box says that nobody is logged in any more.
export function onSignedOut(listener) {
  whenSignedOut = listener;
}

async function send(method, path, body) {
  const headers = {};
  if (method !== 'GET') headers['x-csrf-token'] = token;
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    return await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: 'no-store', credentials: 'same-origin',
    });
  } catch {
    throw new Refused(0, 'The box did not answer. Is it on, and is this computer on its network?');
  }
}

async function content(answer) {
  const type = answer.headers.get('content-type') ?? '';
  return type.includes('json') ? answer.json().catch(() => null) : null;
}

async function granted(answer) {
  const said = await content(answer);
  if (answer.ok) return said;
  const words = said?.detail || said?.title || `The box refused this (status ${answer.status}).`;
  throw new Refused(answer.status, words, Number(answer.headers.get('retry-after')) || null);
}

async function ask(method, path, body) {
  const answer = await send(method, path, body);
  if (answer.status === 401) whenSignedOut();
  return granted(answer);
}

export const get = (path) => ask('GET', path);
export const post = (path, body) => ask('POST', path, body);
export const remove = (path) => ask('DELETE', path);

// The session, or `null` with whether this connection shows a certificate that the box knows.
export async function session() {
  const answer = await send('GET', '/api/session');
  if (answer.status !== 401) return { session: await granted(answer), certificate: false };
  const said = await content(answer);
  return { session: null, certificate: said?.certificate === true };
}

// Logs in, by a code or, without one, by the certificate of this connection.
export async function login(code) {
  return granted(await send('POST', '/api/login', code ? { code } : {}));
}

export const captureUrl = (name, rest) => `/api/captures/${encodeURIComponent(name)}/${rest}`;
export const seriesUrl = (study, series, rest) => `/api/series/${encodeURIComponent(study)}/${encodeURIComponent(series)}/${rest}`;
