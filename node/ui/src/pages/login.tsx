// Ways in: a token, a user with a password, an OpenID provider. The token that comes of it stays in memory.
import { useState } from 'preact/hooks';
import { call, get, post, escaped, type Fields } from '../api';
import { Choice, Field, Form, Page } from '../parts';
import { ending, go, notify, route, signIn, useLoad } from '../session';

/** What a login with an OpenID provider needs again when the browser is back. The token is none of it. */
const PENDING = 'conclave-oidc';

type Way = 'token' | 'userpass' | 'ldap' | 'oidc';
const WAYS: [Way, string][] = [
  ['token', 'Token'], ['userpass', 'Name and password'], ['ldap', 'LDAP'], ['oidc', 'OpenID Connect'],
];

async function shownMounts(): Promise<Fields> {
  return (await get('sys/internal/ui/mounts', { token: '', once: true })).auth ?? {};
}

export function Login() {
  const mounts = useLoad(shownMounts, []);
  const [way, setWay] = useState<Way>('token');
  const [pending, setPending] = useState<Fields | null>(null);
  const reason = ending.use();
  const choose = (next: string) => setWay(next as Way);
  return (
    <div class="login">
      <Page title="Sign in" lead="Your token is kept in this page's memory only: closing or reloading the page ends the session.">
        {reason && <p class="note" role="status">{reason}</p>}
        <div class="card">
          {pending
            ? <Passcode pending={pending} />
            : <>
              <Choice label="Method" value={way} options={WAYS} onInput={choose} />
              {way === 'token' && <TokenForm />}
              {(way === 'userpass' || way === 'ldap') && <PasswordForm key={way} kind={way} mounts={mounts.data ?? {}} onPending={setPending} />}
              {way === 'oidc' && <OidcForm mounts={mounts.data ?? {}} />}
            </>}
        </div>
      </Page>
    </div>
  );
}

async function enter(token: string): Promise<void> {
  await signIn(token);
  if (route.value[0] === 'login') go('secrets');
}

function TokenForm() {
  const [token, setToken] = useState('');
  return (
    <Form action="Sign in" onSubmit={() => enter(token.trim())}>
      <Field label="Token" type="password" value={token} onInput={setToken} required autofocus mono />
    </Form>
  );
}

/** The mounts of a kind that are shown to everybody, with the usual place first if none is. */
function placesOf(mounts: Fields, kinds: string[], usual: string): string[] {
  const found = Object.keys(mounts).filter((path) => kinds.includes(mounts[path].type)).map((path) => path.replace(/\/$/, ''));
  return found.length > 0 ? found : [usual];
}

function PasswordForm({ kind, mounts, onPending }: { kind: string; mounts: Fields; onPending: (pending: Fields) => void }) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [given, setMount] = useState('');
  const mount = given || placesOf(mounts, [kind], kind)[0]!;
  const submit = async () => {
    const path = `auth/${escaped(mount)}/login/${encodeURIComponent(name)}`;
    const reply = await post(path, { password }, { token: '', once: true });
    if (reply.auth?.mfa_requirement) return onPending(reply.auth.mfa_requirement);
    await enter(reply.auth.client_token);
  };
  return (
    <Form action="Sign in" onSubmit={submit}>
      <Field label="Name" value={name} onInput={setName} required autofocus autocomplete="username" />
      <Field label="Password" type="password" value={password} onInput={setPassword} required autocomplete="current-password" />
      <Field label="Mount" value={mount} onInput={setMount} mono hint="Where the method is enabled, below auth/." />
    </Form>
  );
}

/** The second step of a login that asks for one-time codes. */
function Passcode({ pending }: { pending: Fields }) {
  const methods = Object.values(pending.mfa_constraints ?? {}).flatMap((constraint: any) => constraint.any ?? []);
  const [code, setCode] = useState('');
  const [method, setMethod] = useState<string>(methods[0]?.id ?? '');
  const submit = async () => {
    const fields = { mfa_request_id: pending.mfa_request_id, mfa_payload: { [method]: [code] } };
    const reply = await post('sys/mfa/validate', fields, { token: '', once: true });
    await enter(reply.auth.client_token);
  };
  return (
    <Form action="Sign in" onSubmit={submit}>
      {methods.length > 1 && <Choice label="Code of" value={method} onInput={setMethod}
        options={methods.map((known: any) => [known.id, known.name || known.type])} />}
      <Field label="One-time code" value={code} onInput={setCode} required autofocus autocomplete="one-time-code" mono />
    </Form>
  );
}

function OidcForm({ mounts }: { mounts: Fields }) {
  const [role, setRole] = useState('');
  const [given, setMount] = useState('');
  const mount = given || placesOf(mounts, ['oidc', 'jwt'], 'oidc')[0]!;
  const submit = async () => {
    const nonce = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const redirect = `${location.origin}/ui/vault/auth/${mount}/oidc/callback`;
    const fields = { role, redirect_uri: redirect, client_nonce: nonce };
    const reply = await post(`auth/${escaped(mount)}/oidc/auth_url`, fields, { token: '', once: true });
    if (!reply.auth_url) throw new Error(`The provider is not asked: does the role exist, and does it allow ${redirect}?`);
    const target = new URL(reply.auth_url);
    if (target.protocol !== 'https:' && target.protocol !== 'http:') throw new Error('The provider has no web address.');
    sessionStorage.setItem(PENDING, JSON.stringify({ mount, nonce }));
    location.assign(target.href);
  };
  return (
    <Form action="Go to the provider" onSubmit={submit}>
      <Field label="Role" value={role} onInput={setRole} hint="Empty is the method's default role." />
      <Field label="Mount" value={mount} onInput={setMount} mono hint="Where the method is enabled, below auth/." />
    </Form>
  );
}

/** Ends a login whose browser comes back from a provider. What stands in the address is taken out of it first. */
export async function takeCallback(): Promise<void> {
  const found = /^\/ui\/vault\/auth\/(.+)\/oidc\/callback$/.exec(location.pathname);
  if (!found) return;
  const given = new URLSearchParams(location.search);
  history.replaceState(null, '', '/ui/#/secrets');
  route.value = ['secrets'];
  const kept = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  try {
    const { mount, nonce } = JSON.parse(kept ?? 'null') ?? {};
    if (mount !== decodeURIComponent(found[1]!)) throw new Error('This login was not begun in this browser window.');
    const query = new URLSearchParams({ state: given.get('state') ?? '', client_nonce: nonce });
    for (const name of ['code', 'error']) if (given.has(name)) query.set(name, given.get(name)!);
    const reply = await call('GET', `auth/${escaped(mount)}/oidc/callback?${query}`, undefined, { token: '', once: true });
    await signIn(reply.auth.client_token);
  } catch (error) {
    notify(`The login failed: ${(error as Error).message}`, true);
  }
}
