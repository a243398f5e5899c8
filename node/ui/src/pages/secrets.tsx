// Secrets of the KV engines: mounts, folders with thousands of names, and the way to one secret.
import { useEffect, useState } from 'preact/hooks';
import { escaped, get, list, type Fields } from '../api';
import { Await, Badge, Button, Empty, Field, Icon, Page } from '../parts';
import { address, go, useLoad } from '../session';
import type { PageProps } from '../pages';
import { NewSecret, Secret } from './secret';

/** Names that are asked for at once. */
const PAGE_NAMES = 200;

export interface Mount {
  path: string;
  isVersioned: boolean;
  description: string;
}

async function mounts(): Promise<Mount[]> {
  const found: Fields = (await get('sys/internal/ui/mounts')).secret ?? {};
  return Object.entries(found)
    .filter(([, mount]) => mount.type === 'kv' || mount.type === 'generic')
    .map(([path, mount]) => ({ path: path.replace(/\/$/, ''), isVersioned: mount.options?.version === '2', description: mount.description }));
}

export function Secrets({ path }: PageProps) {
  const loaded = useLoad(mounts, []);
  return (
    <Await loaded={loaded}>
      {(all) => {
        const [kind, ...rest] = path;
        const place = rest.join('/');
        const mount = all.find((known) => place === known.path || place.startsWith(known.path + '/'));
        if (!kind || !mount) return <Mounts mounts={all} />;
        const below = place.slice(mount.path.length + 1);
        if (kind === 'show') return <Secret key={place} mount={mount} name={below} />;
        if (kind === 'new') return <NewSecret key={place} mount={mount} folder={below} />;
        return <Folder key={place} mount={mount} folder={below ? below + '/' : ''} />;
      }}
    </Await>
  );
}

function Mounts({ mounts }: { mounts: Mount[] }) {
  return (
    <Page title="Secrets" lead="Places that keep key and value pairs.">
      {mounts.length === 0
        ? <Empty>No KV engine that you can see. Enable one on the page “Engines”.</Empty>
        : <ul class="rows">
          {mounts.map((mount) => (
            <li key={mount.path}>
              <a href={address('secrets', 'list', mount.path)}><Icon name="folder" />{mount.path}/</a>
              {mount.description && <span class="dim">{mount.description}</span>}
              <Badge>{mount.isVersioned ? 'versions' : 'no versions'}</Badge>
            </li>
          ))}
        </ul>}
    </Page>
  );
}

/** The way from the mounts down to a name. */
export function Trail({ mount, path }: { mount: Mount; path: string }) {
  const names = path.split('/').filter(Boolean);
  return (
    <>
      <a href="#/secrets">Secrets</a><span>/</span>
      <a href={address('secrets', 'list', mount.path)}>{mount.path}</a>
      {names.slice(0, -1).map((name, at) => (
        <span key={at}>/ <a href={address('secrets', 'list', mount.path, ...names.slice(0, at + 1))}>{name}</a></span>
      ))}
    </>
  );
}

function Folder({ mount, folder }: { mount: Mount; folder: string }) {
  const [names, setNames] = useState<string[]>([]);
  const [hasMore, setMore] = useState(false);
  const [filter, setFilter] = useState('');
  const base = `${escaped(mount.path)}/${mount.isVersioned ? 'metadata/' : ''}${escaped(folder)}`;
  const first = useLoad(() => list(base, '', PAGE_NAMES), [base]);
  useEffect(() => {
    if (!first.data) return;
    setNames(first.data);
    setMore(first.data.length === PAGE_NAMES);
  }, [first.data]);
  const more = async () => {
    const next = await list(base, names[names.length - 1], PAGE_NAMES);
    setNames([...names, ...next]);
    setMore(next.length === PAGE_NAMES);
  };
  const shown = names.filter((name) => name.toLowerCase().includes(filter.toLowerCase()));
  const open = () => {
    const target = filter.trim().replace(/^\/+/, '');
    if (target) go('secrets', target.endsWith('/') ? 'list' : 'show', mount.path, folder, target);
  };
  const create = <Button kind="main" icon="plus" onClick={() => go('secrets', 'new', mount.path, folder)}>New secret</Button>;
  return (
    <Page title={folder ? folder.split('/').at(-2) + '/' : mount.path + '/'} trail={<Trail mount={mount} path={folder} />} actions={create}>
      <form class="tools end" onSubmit={(event) => { event.preventDefault(); open(); }}>
        <Field label="Filter, or a path to open" value={filter} onInput={setFilter} mono />
        <button class="button plain" type="submit">Open</button>
      </form>
      <Await loaded={first}>
        {() => (names.length === 0
          ? <Empty>Nothing here yet.</Empty>
          : <>
            <ul class="rows">{shown.map((name) => <Name key={name} mount={mount} folder={folder} name={name} />)}</ul>
            {shown.length === 0 && <Empty>None of the {names.length} names that are loaded match.</Empty>}
            <div class="row">
              <span class="dim" role="status">{filter ? `${shown.length} of ` : ''}{names.length}{hasMore ? ' names loaded, there are more' : ' names'}</span>
              {hasMore && <Button onClick={more}>{`Load ${PAGE_NAMES} more`}</Button>}
            </div>
          </>)}
      </Await>
    </Page>
  );
}

function Name({ mount, folder, name }: { mount: Mount; folder: string; name: string }) {
  const isFolder = name.endsWith('/');
  return (
    <li>
      <a href={address('secrets', isFolder ? 'list' : 'show', mount.path, folder, name)}>
        <Icon name={isFolder ? 'folder' : 'file'} />{name}
      </a>
    </li>
  );
}
