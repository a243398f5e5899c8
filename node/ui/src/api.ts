// The one way to the server: every call goes through here, so that each has the header that keeps other sites out, and the
// token stands in one variable of this module and nowhere else. Nothing is ever stored in the browser.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Fields = { [key: string]: any };

/** A refusal of the server, in its own words. */
export class Failure extends Error {
  constructor(readonly status: number, readonly messages: string[], readonly body: Fields = {}) {
    super(messages.join('; ') || wording(status));
  }
  get isSealed(): boolean {
    return this.status === 503 && this.messages.some((text) => text.includes('sealed'));
  }
}

function wording(status: number): string {
  switch (status) {
    case 0: return 'The node cannot be reached.';
    case 403: return 'Permission denied.';
    case 404: return 'There is nothing here.';
    case 429: return 'Too many requests: wait a moment.';
    default: return `The server answered ${status}.`;
  }
}

export interface Options {
  /** Sent once only, because doing it twice is not the same: no second try. */
  once?: boolean;
  /** May take long, and its answer comes once only. */
  slow?: boolean;
  /** Wraps the reply for so long. */
  wrapTtl?: string;
  /** Asked with this token in place of the session's; '' is none. */
  token?: string;
  /** The reply itself, not the `data` in it. */
  whole?: boolean;
  contentType?: string;
}

/** How long a call goes on through a change of leader, in milliseconds. */
const PATIENCE = 15_000;
/** How long one try may take. */
const TRY_TIME = 20_000;
const SLOW_TRY_TIME = 120_000;

let token = '';
let onDenied: () => void = () => {};

export function setToken(value: string): void {
  token = value;
}
export function currentToken(): string {
  return token;
}
/** Called if the session's token works no more. */
export function whenDenied(listener: () => void): void {
  onDenied = listener;
}

/** A path with each of its parts escaped, so that names may hold anything. */
export function escaped(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

const pause = (millis: number) => new Promise((done) => setTimeout(done, millis));

async function attempt(method: string, path: string, headers: Headers, body: string | null, time: number): Promise<Response> {
  try {
    return await fetch(`/v1/${path}`, {
      method, headers, body,
      cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(time),
    });
  } catch {
    throw new Failure(0, []);
  }
}

/**
 * Asks the server. What a change of leader disturbs is asked again under the same key, so that a write happens once.
 */
export async function call(method: string, path: string, fields?: Json | Fields, options: Options = {}): Promise<any> {
  const headers = new Headers({ 'X-Vault-Request': 'true' });
  const used = options.token ?? token;
  if (used) headers.set('X-Vault-Token', used);
  if (options.wrapTtl) headers.set('X-Vault-Wrap-TTL', options.wrapTtl);
  const body = fields === undefined ? null : JSON.stringify(fields);
  if (body !== null) headers.set('Content-Type', options.contentType ?? 'application/json');
  if (method !== 'GET' && used && !options.once) headers.set('Idempotency-Key', crypto.getRandomValues(new Uint32Array(4)).join('-'));
  const end = Date.now() + PATIENCE;
  for (;;) {
    try {
      const response = await attempt(method, path, headers, body, options.slow ? SLOW_TRY_TIME : TRY_TIME);
      return await taken(response, options);
    } catch (error) {
      const failure = error as Failure;
      const passes = failure.status === 0 || failure.status === 429 || (failure.status === 503 && !failure.isSealed);
      if (!passes || options.once || Date.now() > end) {
        if (failure.status === 403 && used === token && token && !options.once) void checkToken();
        throw failure;
      }
      await pause(failure.status === 0 ? 400 : 800);
    }
  }
}

async function taken(response: Response, options: Options): Promise<any> {
  const text = await response.text();
  let reply: any = {};
  try {
    reply = text ? JSON.parse(text) : {};
  } catch {
    if (response.ok) return text;
  }
  if (!response.ok) throw new Failure(response.status, Array.isArray(reply.errors) ? reply.errors.map(String) : [], reply);
  if (options.whole || reply.wrap_info || reply.auth) return reply;
  return reply.data ?? reply;
}

let isChecking = false;
/** A refusal may be about the token as a whole: asks, and ends the session if so. */
async function checkToken(): Promise<void> {
  if (isChecking) return;
  isChecking = true;
  const asked = token;
  try {
    await call('GET', 'auth/token/lookup-self', undefined, { once: true });
  } catch (error) {
    if ((error as Failure).status === 403 && token === asked) onDenied();
  } finally {
    isChecking = false;
  }
}

export const get = (path: string, options?: Options) => call('GET', path, undefined, options);
export const post = (path: string, fields: Json | Fields = {}, options?: Options) => call('POST', path, fields, options);
export const remove = (path: string, options?: Options) => call('DELETE', path, undefined, options);

/** Names below a path; none if there is nothing. One page at a time if `limit` is said. */
export async function list(path: string, after = '', limit = 0): Promise<string[]> {
  const query = new URLSearchParams({ list: 'true' });
  if (after) query.set('after', after);
  if (limit) query.set('limit', String(limit));
  try {
    return (await get(`${path}?${query}`)).keys ?? [];
  } catch (error) {
    if ((error as Failure).status === 404) return [];
    throw error;
  }
}
