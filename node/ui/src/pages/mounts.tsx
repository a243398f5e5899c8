// Engines and auth methods: what is enabled, how it is tuned, and a form for each of its paths.
import { useState } from 'preact/hooks';
import { escaped, get, post, remove, type Fields } from '../api';
import { Await, Badge, Button, Choice, Confirm, Dialog, Empty, Field, Form, Icon, Page, span } from '../parts';
import { address, go, notify, useLoad } from '../session';
import type { PageProps } from '../pages';
import { FieldsOf, description, pathsOf, sentAll } from './schema';
import { PathForm } from './path';

interface Kind {
  page: string;
  title: string;
  lead: string;
  one: string;
  /** Where the server keeps them. */
  at: 'sys/mounts' | 'sys/auth';
  catalog: 'secret' | 'auth';
  /** What stands before a mount's path in requests. */
  before: string;
  /** Mounts that are always there. */
  fixed: string[];
}
const ENGINES: Kind = {
  page: 'engines', title: 'Engines', one: 'engine', lead: 'What keeps, makes or encrypts secrets, and where.', at: 'sys/mounts', catalog: 'secret', before: '',
  fixed: ['sys/', 'identity/', 'cubbyhole/'],
};
const METHODS: Kind = {
  page: 'auth', title: 'Auth methods', one: 'method', lead: 'Ways in for people and machines.', at: 'sys/auth', catalog: 'auth', before: 'auth/', fixed: ['token/'],
};

export const Engines = ({ path }: PageProps) => <Mounts kind={ENGINES} path={path} />;
export const Methods = ({ path }: PageProps) => <Mounts kind={METHODS} path={path} />;

function Mounts({ kind, path }: { kind: Kind; path: string[] }) {
  const place = path.join('/');
  return place ? <Mount key={place} kind={kind} place={place} /> : <All kind={kind} />;
}

const mounted = async (kind: Kind) => Object.entries<Fields>(await get(kind.at)).sort(([one], [other]) => one.localeCompare(other));

function All({ kind }: { kind: Kind }) {
  const loaded = useLoad(() => mounted(kind), [kind.page]);
  const [isEnabling, enable] = useState(false);
  return (
    <Page title={kind.title} lead={kind.lead} actions={<Button kind="main" icon="plus" onClick={() => enable(true)}>{`Enable ${kind.one === 'engine' ? 'an' : 'a'} ${kind.one}`}</Button>}>
      <Await loaded={loaded}>
        {(all) => (
          <ul class="rows">
            {all.map(([path, mount]) => (
              <li key={path}>
                <a href={address(kind.page, path)}><Icon name={kind.catalog === 'auth' ? 'people' : 'plug'} />{path}</a>
                {mount.description && <span class="dim">{mount.description}</span>}
                <Badge>{mount.type}{mount.options?.version ? ` v${mount.options.version}` : ''}</Badge>
              </li>
            ))}
          </ul>
        )}
      </Await>
      {isEnabling && <Enable kind={kind} onClose={() => enable(false)} />}
    </Page>
  );
}

function Enable({ kind, onClose }: { kind: Kind; onClose: () => void }) {
  const catalog = useLoad(() => get('sys/plugins/catalog') as Promise<Fields>, []);
  return (
    <Dialog title={`Enable ${kind.one === 'engine' ? 'an engine' : 'an auth method'}`} onClose={onClose}>
      <Await loaded={catalog}>{(found) => <EnableForm kind={kind} types={found[kind.catalog] ?? []} onClose={onClose} />}</Await>
    </Dialog>
  );
}

function EnableForm({ kind, types, onClose }: { kind: Kind; types: string[]; onClose: () => void }) {
  const [type, setType] = useState(types[0] ?? '');
  const [path, setPath] = useState('');
  const [note, setNote] = useState('');
  const [version, setVersion] = useState('2');
  const enable = async () => {
    const place = (path || type).replace(/^\/+|\/+$/g, '');
    const fields: Fields = { type, description: note };
    if (type === 'kv') fields.options = { version };
    await post(`${kind.at}/${escaped(place)}`, fields);
    notify(`${place}/ is enabled.`);
    void description(true);
    go(kind.page, place);
  };
  return (
    <Form action="Enable" onSubmit={enable} more={<Button onClick={onClose}>Cancel</Button>}>
      <Choice label="Kind" value={type} options={types} onInput={setType} />
      {type === 'kv' && <Choice label="Versions" value={version} options={[['2', 'kept (version 2)'], ['1', 'not kept (version 1)']]} onInput={setVersion} />}
      <Field label="Path" value={path} onInput={setPath} placeholder={type} mono hint="Empty is the name of its kind." />
      <Field label="Description" value={note} onInput={setNote} />
    </Form>
  );
}

async function mountAt(kind: Kind, place: string): Promise<Fields> {
  const found = (await mounted(kind)).find(([path]) => path === place + '/');
  if (!found) throw new Error(`Nothing is enabled at ${place}/.`);
  return found[1];
}

function Mount({ kind, place }: { kind: Kind; place: string }) {
  const loaded = useLoad(() => mountAt(kind, place), [kind.page, place]);
  const [dialog, setDialog] = useState<'tune' | 'disable' | null>(null);
  const mount = loaded.data;
  const disable = async () => {
    await remove(`${kind.at}/${escaped(place)}`);
    notify(`${place}/ is disabled.`);
    void description(true);
    go(kind.page);
  };
  const isFixed = kind.fixed.includes(place + '/');
  const actions = <>
    {mount?.type === 'kv' && <a class="button main" href={address('secrets', 'list', place)}>Open</a>}
    <Button onClick={() => setDialog('tune')}>Tune</Button>
    {!isFixed && <Button kind="danger" onClick={() => setDialog('disable')}>Disable</Button>}
  </>;
  return (
    <Page title={place + '/'} lead={mount?.description} trail={<a href={`#/${kind.page}`}>{kind.title}</a>} actions={mount && actions}>
      <Await loaded={loaded}>
        {(found) => <>
          <div class="card"><dl class="facts">
            <dt>Kind</dt><dd>{found.type}{found.options?.version ? `, version ${found.options.version}` : ''}</dd>
            <dt>Accessor</dt><dd><code>{found.accessor}</code></dd>
            <dt>Lives by default</dt><dd>{found.config?.default_lease_ttl ? span(found.config.default_lease_ttl) : 'as long as the server says'}</dd>
            <dt>Lives at most</dt><dd>{found.config?.max_lease_ttl ? span(found.config.max_lease_ttl) : 'as long as the server says'}</dd>
          </dl></div>
          <Paths mount={kind.before + place + '/'} />
        </>}
      </Await>
      {dialog === 'tune' && <Tune kind={kind} place={place} onClose={() => { setDialog(null); loaded.reload(); }} />}
      {dialog === 'disable' && <Confirm title={`Disable ${place}/`} action="Disable" word={place} onDone={disable} onClose={() => setDialog(null)}
        text={<p>All that it holds is removed for good, and what it lent out is revoked.</p>} />}
    </Page>
  );
}

/** A form for each path that the server describes below a mount. */
function Paths({ mount }: { mount: string }) {
  const loaded = useLoad(() => description(), [mount]);
  const [filter, setFilter] = useState('');
  return (
    <Await loaded={loaded}>
      {(api) => {
        const all = pathsOf(api, mount);
        const found = all.filter((path) => `${path.path} ${path.description}`.toLowerCase().includes(filter.toLowerCase()));
        return (
          <div class="stack">
            <h2>What it can do</h2>
            {all.length > 8 && <Field label="Filter" value={filter} onInput={setFilter} />}
            {all.length === 0 && <Empty>It describes no paths.</Empty>}
            {found.map((path) => <PathForm key={path.path} path={path} mount={mount} />)}
          </div>
        );
      }}
    </Await>
  );
}

function Tune({ kind, place, onClose }: { kind: Kind; place: string; onClose: () => void }) {
  const [values, setValues] = useState<{ [name: string]: string }>({});
  const loaded = useLoad(() => Promise.all([description(), get(`${kind.at}/${escaped(place)}/tune`) as Promise<Fields>]), [place]);
  return (
    <Dialog title={`Tune ${place}/`} onClose={onClose}>
      <Await loaded={loaded}>
        {([api, now]) => {
          const tune = pathsOf(api, `${kind.at}/`).find((path) => path.path === `${kind.at}/{path}/tune`);
          const fields = tune?.operations.find((operation) => operation.verb === 'POST')?.fields ?? [];
          const shown = fields.map((field) => ({ ...field, description: told(field.description, now[field.name]) }));
          const save = async () => {
            await post(`${kind.at}/${escaped(place)}/tune`, sentAll(fields, values));
            notify('Tuned.');
            onClose();
          };
          return (
            <Form action="Save" onSubmit={save} more={<Button onClick={onClose}>Cancel</Button>}>
              <p class="dim">What is left empty stays as it is.</p>
              <FieldsOf fields={shown} values={values} onInput={setValues} />
            </Form>
          );
        }}
      </Await>
    </Dialog>
  );
}
const told = (text: string, now: unknown) => (now === undefined || now === '' || now === null ? text
  : `${text}. Now: ${typeof now === 'object' ? JSON.stringify(now) : String(now)}`);
