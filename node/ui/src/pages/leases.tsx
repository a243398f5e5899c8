// Leases: found by their path, looked at, renewed and revoked.
import { useState } from 'preact/hooks';
import { escaped, get, list, post, type Fields } from '../api';
import { Await, Badge, Button, Confirm, Empty, Field, Form, Icon, Page, Problem, When, span } from '../parts';
import { address, notify, useLoad } from '../session';
import type { PageProps } from '../pages';

export function Leases({ path }: PageProps) {
  const prefix = path.length > 0 ? path.join('/') + '/' : '';
  return <Level key={prefix} prefix={prefix} />;
}

function Level({ prefix }: { prefix: string }) {
  const loaded = useLoad(() => list(`sys/leases/lookup/${escaped(prefix)}`), [prefix]);
  const [filter, setFilter] = useState('');
  const [count, setCount] = useState(200);
  const [shown, setShown] = useState('');
  const [isAsked, ask] = useState(false);
  const names = prefix.split('/').filter(Boolean);
  const trail = names.length > 0 && <>
    <a href="#/leases">Leases</a>{names.slice(0, -1).map((name, at) => <span key={at}>/ <a href={address('leases', ...names.slice(0, at + 1))}>{name}</a></span>)}
  </>;
  const revokeAll = async () => {
    await post(`sys/leases/revoke-prefix/${escaped(prefix)}`);
    notify('They are revoked.');
    loaded.reload();
  };
  return (
    <Page title={prefix || 'Leases'} trail={trail} lead={!prefix && 'What was lent out and is taken back when its time is over.'}
      actions={prefix && <Button kind="danger" onClick={() => ask(true)}>Revoke all below</Button>}>
      {!prefix && <Search onFound={setShown} />}
      {shown && <Lease key={shown} id={shown} onGone={() => { setShown(''); loaded.reload(); }} />}
      <Await loaded={loaded}>
        {(all) => {
          const found = all.filter((name) => name.includes(filter));
          return <>
            {all.length > 20 && <Field label="Filter" value={filter} onInput={setFilter} mono />}
            {all.length === 0 && <Empty>No leases here.</Empty>}
            <ul class="rows">
              {found.slice(0, count).map((name) => (
                <li key={name}>
                  {name.endsWith('/')
                    ? <a href={address('leases', prefix, name)}><Icon name="folder" />{name}</a>
                    : <><span class="grow mono">{name}</span><Button label={`Look at ${name}`} onClick={() => setShown(prefix + name)}>Look</Button></>}
                </li>
              ))}
            </ul>
            {found.length > count && <Button onClick={() => setCount(count + 200)}>Show more</Button>}
          </>;
        }}
      </Await>
      {!prefix && <Stuck />}
      {isAsked && <Confirm title={`Revoke all below ${prefix}`} text={<p>Whoever uses one of them loses it now.</p>} action="Revoke" word={prefix} onDone={revokeAll} onClose={() => ask(false)} />}
    </Page>
  );
}

function Search({ onFound }: { onFound: (id: string) => void }) {
  const [id, setId] = useState('');
  return (
    <Form action="Look up" onSubmit={() => onFound(id.trim())}>
      <Field label="Lease id" value={id} onInput={setId} mono required />
    </Form>
  );
}

function Lease({ id, onGone }: { id: string; onGone: () => void }) {
  const loaded = useLoad(() => post('sys/leases/lookup', { lease_id: id }, { once: true }) as Promise<Fields>, [id]);
  const renew = async () => {
    await post('sys/leases/renew', { lease_id: id });
    notify('Renewed.');
    loaded.reload();
  };
  const revoke = async () => {
    await post('sys/leases/revoke', { lease_id: id });
    notify('Revoked.');
    onGone();
  };
  if (loaded.error) return <Problem error={loaded.error} />;
  return (
    <Await loaded={loaded}>
      {(lease) => (
        <div class="card">
          <h2 class="break mono">{lease.id}</h2>
          <dl class="facts">
            <dt>Lent</dt><dd><When time={lease.issue_time} /></dd>
            <dt>Ends</dt><dd>{lease.expire_time ? <><When time={lease.expire_time} /> ({span(lease.ttl)} left)</> : 'never'}</dd>
            <dt>Renewed</dt><dd>{lease.last_renewal ? <When time={lease.last_renewal} /> : 'never'}</dd>
          </dl>
          <div class="actions">{lease.renewable && <Button onClick={renew}>Renew</Button>}<Button kind="danger" onClick={revoke}>Revoke</Button></div>
        </div>
      )}
    </Await>
  );
}

/** Leases that could not be taken back, which somebody has to look after. */
function Stuck() {
  const loaded = useLoad(() => get('sys/leases?type=irrevocable') as Promise<Fields>, []);
  if (!loaded.data || loaded.data.lease_count === 0) return null;
  return (
    <div class="card">
      <div class="row"><h2>Could not be revoked</h2><Badge tone="bad">{loaded.data.lease_count}</Badge></div>
      <ul class="plain">{(loaded.data.leases ?? []).map((lease: Fields) => <li key={lease.lease_id} class="break"><code>{lease.lease_id}</code> {lease.error}</li>)}</ul>
    </div>
  );
}
