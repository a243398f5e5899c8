// Who is signed in, which page is shown, and what all pages hear of.
import { useEffect, useState } from 'preact/hooks';
import { Failure, call, get, post, setToken, whenDenied, type Fields } from './api';

/** A value that pages follow. */
export class Store<T> {
  private readonly listeners = new Set<() => void>();
  constructor(private held: T) {}
  get value(): T {
    return this.held;
  }
  set value(next: T) {
    this.held = next;
    this.listeners.forEach((listener) => listener());
  }
  use(): T {
    const [, draw] = useState(0);
    useEffect(() => {
      const listener = () => draw((count) => count + 1);
      this.listeners.add(listener);
      listener();
      return () => void this.listeners.delete(listener);
    }, []);
    return this.held;
  }
}

export interface Session {
  name: string;
  policies: string[];
  accessor: string;
  /** When the token ends, in milliseconds since 1970; 0 is never. */
  ends: number;
}

export const session = new Store<Session | null>(null);
export const route = new Store<string[]>(parts());
export const notices = new Store<{ id: number; text: string; isError: boolean }[]>([]);
/** Why the last session ended, for the page of logins. */
export const ending = new Store('');

function parts(): string[] {
  return location.hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(unescaped);
}
function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a page. */
export function address(...names: string[]): string {
  return '#/' + names.flatMap((name) => name.split('/')).filter(Boolean).map(encodeURIComponent).join('/');
}
export function go(...names: string[]): void {
  location.hash = address(...names);
}
window.addEventListener('hashchange', () => {
  route.value = parts();
  window.scrollTo(0, 0);
});

let count = 0;
/** Says something to whoever looks, and to screen readers. */
export function notify(text: string, isError = false): void {
  const id = ++count;
  notices.value = [...notices.value.slice(-3), { id, text, isError }];
  setTimeout(() => dismiss(id), isError ? 12_000 : 5_000);
}
export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Begins a session with a token that works. */
export async function signIn(token: string): Promise<void> {
  const found = await call('GET', 'auth/token/lookup-self', undefined, { token });
  setToken(token);
  ending.value = '';
  session.value = sessionOf(found);
}
export function sessionOf(found: Fields): Session {
  const ends = found.expire_time ? Date.parse(found.expire_time) : 0;
  return { name: found.display_name || 'token', policies: found.policies ?? [], accessor: found.accessor ?? '', ends };
}

/** Ends the session: whatever pages held goes with them. Somebody who left shows nobody else where they were. */
export function signOut(reason = '', isLeft = true): void {
  setToken('');
  if (isLeft) {
    history.replaceState(null, '', '#/login');
    route.value = ['login'];
  }
  ending.value = reason;
  session.value = null;
  notices.value = [];
}
export async function revokeAndSignOut(): Promise<void> {
  await post('auth/token/revoke-self', {}, { once: true }).catch(() => {});
  signOut('You are signed out, and the token was revoked.');
}

whenDenied(() => signOut('The session has ended: its token works no more.', false));
setInterval(() => {
  const ends = session.value?.ends ?? 0;
  if (ends > 0 && Date.now() > ends) signOut('The session has ended: its token expired.', false);
}, 1_000);

export interface Loaded<T> {
  data: T | undefined;
  error: Failure | undefined;
  isLoading: boolean;
  reload: () => void;
}

/** Loads something when what it depends on changes, and again each `every` milliseconds if that is said. */
export function useLoad<T>(load: () => Promise<T>, depends: unknown[], every = 0): Loaded<T> {
  const [state, set] = useState<{ data?: T; error?: Failure; key?: string }>({});
  const [turn, setTurn] = useState(0);
  const key = JSON.stringify(depends);
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async () => {
      try {
        const data = await load();
        if (!isOver) set({ data, key });
      } catch (error) {
        const failure = error instanceof Failure ? error : new Failure(-1, [String(error)]);
        if (!isOver) set((before) => ({ data: every && before.key === key ? before.data : undefined, error: failure, key }));
      }
      if (!isOver && every) timer = setTimeout(run, every);
    };
    void run();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [key, turn]);
  const isFresh = state.key === key;
  return {
    data: isFresh ? state.data : undefined,
    error: isFresh ? state.error : undefined,
    isLoading: !isFresh,
    reload: () => setTurn((count) => count + 1),
  };
}

export interface SealStatus {
  initialized: boolean;
  sealed: boolean;
  t: number;
  n: number;
  progress: number;
  nonce: string;
  cluster_name?: string;
  server_version?: string;
}
export const sealStatus = () => get('sys/seal-status', { once: true, token: '' }) as Promise<SealStatus>;
