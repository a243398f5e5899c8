// The frame around all pages, and which page an address means.
import { render, type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, Icon, distance } from './parts';
import { dismiss, notices, revokeAndSignOut, route, sealStatus, session, signOut, useLoad } from './session';
import { Ceremony } from './pages/ceremony';
import { Login, takeCallback } from './pages/login';
import { PAGES, OPEN_PAGES } from './pages';

type Scheme = 'light' | 'dark';

/** The colours that are shown: those of the system until somebody chooses. */
function useScheme(): [Scheme, () => void] {
  const system = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const [scheme, set] = useState<Scheme>(system);
  useEffect(() => void (document.documentElement.dataset.scheme = scheme), [scheme]);
  return [scheme, () => set(scheme === 'dark' ? 'light' : 'dark')];
}

function Notices() {
  return (
    <div class="notices" aria-live="polite">
      {notices.use().map(({ id, text, isError }) => (
        <div key={id} class={isError ? 'notice bad' : 'notice'} role={isError ? 'alert' : undefined}>
          <span>{text}</span>
          <Button kind="quiet" icon="cross" label="Dismiss" onClick={() => dismiss(id)}>{null}</Button>
        </div>
      ))}
    </div>
  );
}

function Navigation({ current, onGo }: { current: string; onGo: () => void }) {
  const isIn = session.use() !== null;
  const groups = [...new Set(PAGES.map((page) => page.group))];
  return (
    <nav id="navigation" class="navigation" aria-label="Pages">
      {groups.map((group) => {
        const pages = PAGES.filter((page) => page.group === group && (isIn || OPEN_PAGES.includes(page.path)));
        if (pages.length === 0) return null;
        return (
          <div key={group}>
            <h2>{group}</h2>
            <ul>
              {pages.map((page) => (
                <li key={page.path}>
                  <a href={`#/${page.path}`} aria-current={page.path === current ? 'page' : undefined} onClick={onGo}>
                    <Icon name={page.icon} />{page.title}
                  </a>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

function Who() {
  const who = session.use();
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 15_000);
    return () => clearInterval(timer);
  }, []);
  if (!who) return <a class="button plain" href="#/login">Sign in</a>;
  return (
    <details class="who" onFocusOut={(event) => {
      if (!event.currentTarget.contains(event.relatedTarget as Node | null)) event.currentTarget.open = false;
    }}>
      <summary>{who.name}</summary>
      <div class="popup">
        <p class="dim">{who.policies.join(', ')}</p>
        <p class="dim">{who.ends ? `Ends ${distance(who.ends - Date.now())}` : 'Does not expire'}</p>
        <Button icon="out" onClick={() => signOut('You are signed out.')}>Sign out</Button>
        <Button kind="danger" onClick={revokeAndSignOut}>Sign out and revoke</Button>
      </div>
    </details>
  );
}

function Status() {
  const status = useLoad(sealStatus, [], 3_000);
  const data = status.data;
  const [tone, text] = status.error ? ['bad', 'unreachable'] : !data ? ['plain', '…']
    : !data.initialized ? ['warn', 'not initialised'] : data.sealed ? ['bad', 'sealed'] : ['good', 'unsealed'];
  return (
    <a class={`status ${tone}`} href="#/ceremony" title="The state of this node">
      <i />{data?.cluster_name && <span class="wide">{data.cluster_name}</span>}<b>{text}</b>
    </a>
  );
}

function shown(path: string[], isIn: boolean): { current: string; page: ComponentChildren } {
  const [first = '', ...rest] = path;
  if (first === 'ceremony') return { current: 'ceremony', page: <Ceremony /> };
  const found = PAGES.find((page) => page.path === first);
  if (found && (isIn || OPEN_PAGES.includes(first))) return { current: first, page: <found.view path={rest} /> };
  if (!isIn) return { current: 'login', page: <Login /> };
  const home = PAGES.find((page) => page.path === 'secrets') ?? PAGES[0]!;
  return { current: home.path, page: <home.view path={[]} /> };
}

function App() {
  const [scheme, toggle] = useScheme();
  const [isOpen, open] = useState(false);
  const path = route.use();
  const who = session.use();
  const { current, page } = shown(path, who !== null);
  const main = useRef<HTMLElement>(null);
  const title = PAGES.find((known) => known.path === current)?.title ?? 'Sign in';
  useEffect(() => {
    document.title = `${title} · Conclave`;
    main.current?.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true });
  }, [current]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the page</a>
      <header class="bar">
        <button class="button quiet menu" type="button" aria-label="Pages" aria-expanded={isOpen} aria-controls="navigation"
          onClick={() => open(!isOpen)}><Icon name="menu" /></button>
        <a class="brand" href="#/secrets" aria-label="Conclave"><Mark /><span>Conclave</span></a>
        <span class="space" />
        <Status />
        <Button kind="quiet" icon={scheme === 'dark' ? 'sun' : 'moon'} label={scheme === 'dark' ? 'Light colours' : 'Dark colours'}
          onClick={toggle}>{null}</Button>
        <Who />
      </header>
      <div class={isOpen ? 'frame open' : 'frame'}>
        <Navigation current={current} onGo={() => open(false)} />
        <main id="main" ref={main} tabIndex={-1} key={who?.accessor ?? ''}>{page}</main>
      </div>
      <Notices />
    </>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" /><g><circle cx="16" cy="13" r="4" /><path d="M16 17v8M16 21.5h3.600M6.500 20a11 11 0 1 1 19 0" /></g>
    </svg>
  );
}

void takeCallback();
render(<App />, document.getElementById('app')!);
