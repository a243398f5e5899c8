// Tokens: one's own, new ones, and all that are alive by their accessors.
import { useEffect, useState } from 'preact/hooks';
import { get, list, post, type Fields } from '../api';
import { Await, Badge, Button, Confirm, Dialog, Empty, Field, Form, Page, Take, Tick, When, span } from '../parts';
import { notify, session, sessionOf, signOut, useLoad } from '../session';

/** Accessors that are shown at once; each takes a question of its own. */
const PAGE_TOKENS = 20;

export function Tokens() {
  const [isMaking, make] = useState(false);
  const [turn, setTurn] = useState(0);
  return (
    <Page title="Tokens" actions={<Button kind="main" icon="plus" onClick={() => make(true)}>New token</Button>}>
      <Own />
      <h2>All tokens</h2>
      <Accessors key={turn} />
      {isMaking && <NewToken onClose={() => { make(false); setTurn(turn + 1); }} />}
    </Page>
  );
}

function Own() {
  const loaded = useLoad(() => get('auth/token/lookup-self') as Promise<Fields>, []);
  const renew = async () => {
    await post('auth/token/renew-self');
    const found = await get('auth/token/lookup-self');
    session.value = sessionOf(found);
    loaded.reload();
    notify('Renewed.');
  };
  return (
    <Await loaded={loaded}>
      {(token) => (
        <div class="card">
          <div class="row"><h2>Yours</h2>{token.renewable && <Button onClick={renew}>Renew</Button>}</div>
          <TokenFacts token={token} />
        </div>
      )}
    </Await>
  );
}

function TokenFacts({ token }: { token: Fields }) {
  return (
    <dl class="facts">
      <dt>Name</dt><dd>{token.display_name}</dd>
      <dt>Policies</dt><dd class="row">{[...(token.policies ?? []), ...(token.identity_policies ?? [])].map((name: string) => <Badge key={name}>{name}</Badge>)}</dd>
      <dt>Made</dt><dd><When time={token.creation_time * 1000} /> at <code>{token.path}</code></dd>
      <dt>Ends</dt><dd>{token.expire_time ? <When time={token.expire_time} /> : 'never'}</dd>
      {token.num_uses > 0 && <><dt>Uses left</dt><dd>{token.num_uses}</dd></>}
      <dt>Accessor</dt><dd><code>{token.accessor}</code></dd>
    </dl>
  );
}

function NewToken({ onClose }: { onClose: () => void }) {
  const [policies, setPolicies] = useState('');
  const [name, setName] = useState('');
  const [ttl, setTtl] = useState('1h');
  const [uses, setUses] = useState('0');
  const [isOrphan, setOrphan] = useState(false);
  const [isRenewable, setRenewable] = useState(true);
  const [made, setMade] = useState<Fields | null>(null);
  const make = async () => {
    const reply = await post(isOrphan ? 'auth/token/create-orphan' : 'auth/token/create', {
      policies: policies.split(/[\s,]+/).filter(Boolean), display_name: name, ttl, num_uses: Number(uses), renewable: isRenewable,
    });
    setMade(reply.auth);
  };
  if (made) {
    return (
      <Dialog title="The new token" onClose={onClose}>
        <p>It is shown this once.</p>
        <Take label="token" text={made.client_token} isSecret />
        <p class="dim">{made.token_policies.join(', ')}{made.lease_duration ? `, for ${span(made.lease_duration)}` : ''}</p>
        <div class="actions"><Button onClick={onClose}>Done</Button></div>
      </Dialog>
    );
  }
  return (
    <Dialog title="New token" onClose={onClose}>
      <Form action="Make" onSubmit={make} more={<Button onClick={onClose}>Cancel</Button>}>
        <Field label="Policies" value={policies} onInput={setPolicies} hint="With commas between. Empty is those of your own token." autofocus />
        <Field label="Name" value={name} onInput={setName} />
        <div class="pair">
          <Field label="Lives for" value={ttl} onInput={setTtl} hint="Such as 1h; 0 is the longest." />
          <Field label="Uses" type="number" min={0} value={uses} onInput={setUses} hint="0 is without limit." />
        </div>
        <Tick label="Can be renewed" value={isRenewable} onInput={setRenewable} />
        <Tick label="Outlives your own token" value={isOrphan} onInput={setOrphan} />
      </Form>
    </Dialog>
  );
}

function Accessors() {
  const loaded = useLoad(() => list('auth/token/accessors'), []);
  const [count, setCount] = useState(PAGE_TOKENS);
  const [filter, setFilter] = useState('');
  return (
    <Await loaded={loaded}>
      {(all) => {
        const found = all.filter((accessor) => accessor.includes(filter.trim()));
        return <>
          {all.length > PAGE_TOKENS && <Field label="Accessor" value={filter} onInput={setFilter} mono />}
          {found.length === 0 && <Empty>None.</Empty>}
          <ul class="rows">{found.slice(0, count).map((accessor) => <Accessor key={accessor} accessor={accessor} onGone={loaded.reload} />)}</ul>
          <div class="row"><span class="dim" role="status">{Math.min(count, found.length)} of {found.length}</span>
            {found.length > count && <Button onClick={() => setCount(count + PAGE_TOKENS)}>Show more</Button>}</div>
        </>;
      }}
    </Await>
  );
}

function Accessor({ accessor, onGone }: { accessor: string; onGone: () => void }) {
  const [token, setToken] = useState<Fields | null>(null);
  const [isAsked, ask] = useState(false);
  useEffect(() => {
    post('auth/token/lookup-accessor', { accessor }, { once: true }).then(setToken, () => {});
  }, [accessor]);
  const isOwn = session.value?.accessor === accessor;
  const revoke = async () => {
    await post('auth/token/revoke-accessor', { accessor });
    if (isOwn) return signOut('You revoked your own token.');
    notify('The token and all that it made are revoked.');
    onGone();
  };
  return (
    <li>
      <div class="grow">
        <strong>{token?.display_name ?? '…'}</strong>{isOwn && <> <Badge tone="accent">yours</Badge></>}
        <small><code>{accessor}</code>{token && <> · {token.policies.join(', ')} · {token.expire_time ? <>ends <When time={token.expire_time} /></> : 'never ends'}</>}</small>
      </div>
      <Button kind="danger" onClick={() => ask(true)}>Revoke</Button>
      {isAsked && <Confirm title="Revoke a token" action="Revoke" onClose={() => ask(false)} onDone={revoke}
        text={<p>{isOwn ? 'It is your own: you are signed out. ' : ''}All tokens and leases that it made end with it.</p>} />}
    </li>
  );
}
