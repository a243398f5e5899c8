// One secret: its values, masked; its editing, with the version that it was read at; what versions there are.
import { useState } from 'preact/hooks';
import { Failure, call, escaped, get, post, remove, type Fields } from '../api';
import { Await, Badge, Button, Confirm, Copy, Empty, Field, Form, Page, Tabs, When } from '../parts';
import { address, go, notify, useLoad } from '../session';
import { Difference } from './difference';
import { Metadata, Versions } from './versions';
import { Trail, type Mount } from './secrets';

/** A secret as it was read: `version` is 0 without versions, `data` is null if the newest version is deleted. */
export interface Read {
  data: Fields | null;
  version: number;
  time: string;
  isDestroyed: boolean;
}

export const pathOf = (mount: Mount, part: string, name: string) =>
  `${escaped(mount.path)}/${mount.isVersioned ? part + '/' : ''}${escaped(name)}`;

export async function read(mount: Mount, name: string, version = 0): Promise<Read> {
  const query = version ? `?version=${version}` : '';
  try {
    const found = await get(pathOf(mount, 'data', name) + query);
    if (!mount.isVersioned) return { data: found, version: 0, time: '', isDestroyed: false };
    return { data: found.data, version: found.metadata.version, time: found.metadata.created_time, isDestroyed: false };
  } catch (error) {
    // A version that is deleted answers 404 and says what it was.
    const told = (error as Failure).body?.data?.metadata;
    if (told) return { data: null, version: told.version, time: told.created_time, isDestroyed: told.destroyed };
    throw error;
  }
}

/** Writes; in a versioned mount only if `version` is still the newest. */
async function write(mount: Mount, name: string, data: Fields, version: number): Promise<void> {
  if (!mount.isVersioned) await post(pathOf(mount, '', name), data);
  else await post(pathOf(mount, 'data', name), { data, options: { cas: version } });
}
const isConflict = (error: unknown) => error instanceof Failure && error.status === 400 && error.message.includes('check-and-set');

export function Secret({ mount, name }: { mount: Mount; name: string }) {
  const [view, setView] = useState('Values');
  const [isEdited, edit] = useState(false);
  const [isAsked, ask] = useState(false);
  const loaded = useLoad(() => read(mount, name), [mount.path, name]);
  const views = mount.isVersioned ? ['Values', 'JSON', 'Versions', 'Metadata'] : ['Values', 'JSON'];
  const data = loaded.data;
  const actions = data && !isEdited && <>
    <Button kind="main" onClick={() => edit(true)}>{data.data ? 'Edit' : 'Write anew'}</Button>
    <Button kind="danger" onClick={() => ask(true)}>Delete</Button>
  </>;
  return (
    <Page title={name.split('/').at(-1)!} trail={<Trail mount={mount} path={name} />} actions={actions}
      lead={data && data.version > 0 && <>Version {data.version}, written <When time={data.time} /></>}>
      <Await loaded={loaded}>
        {(found) => (isEdited
          ? <Editor mount={mount} name={name} start={found} onDone={() => { edit(false); loaded.reload(); }} onClose={() => edit(false)} />
          : <>
            <Tabs names={views} value={view} onInput={setView} />
            {view === 'Values' && <Values read={found} />}
            {view === 'JSON' && <AsJson read={found} />}
            {view === 'Versions' && <Versions mount={mount} name={name} onChange={loaded.reload} />}
            {view === 'Metadata' && <Metadata mount={mount} name={name} />}
          </>)}
      </Await>
      {isAsked && <Deletion mount={mount} name={name} onClose={() => ask(false)} reload={loaded.reload} />}
    </Page>
  );
}

function Deletion({ mount, name, onClose, reload }: { mount: Mount; name: string; onClose: () => void; reload: () => void }) {
  const [isAll, setAll] = useState(!mount.isVersioned);
  const done = async () => {
    await remove(isAll && mount.isVersioned ? pathOf(mount, 'metadata', name) : pathOf(mount, 'data', name));
    notify(isAll ? `${name} is gone.` : 'The newest version is deleted. It can be brought back under “Versions”.');
    if (isAll) go('secrets', 'list', mount.path, name.split('/').slice(0, -1).join('/'));
    else reload();
  };
  const text = mount.isVersioned
    ? <>
      <label class="tick"><input type="radio" name="what" checked={!isAll} onInput={() => setAll(false)} />
        <span>The newest version<small>It can be brought back.</small></span></label>
      <label class="tick"><input type="radio" name="what" checked={isAll} onInput={() => setAll(true)} />
        <span>The secret with all its versions<small>For good.</small></span></label>
    </>
    : <p>It has no versions: it is gone for good.</p>;
  return <Confirm title={`Delete ${name}`} text={text} action="Delete" onDone={done} onClose={onClose} />;
}

const asText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function Gone({ read }: { read: Read }) {
  return <Empty>{read.isDestroyed ? 'The data of this version was destroyed.' : 'The newest version is deleted. It can be brought back under “Versions”.'}</Empty>;
}

export function Values({ read: { data, ...rest } }: { read: Read }) {
  const [isAll, showAll] = useState(false);
  if (!data) return <Gone read={{ data, ...rest }} />;
  const names = Object.keys(data);
  if (names.length === 0) return <Empty>It holds no values.</Empty>;
  return (
    <div class="card">
      <div class="row"><h2>{names.length} {names.length === 1 ? 'value' : 'values'}</h2>
        <Button icon={isAll ? 'hidden' : 'eye'} onClick={() => showAll(!isAll)}>{isAll ? 'Hide all' : 'Show all'}</Button></div>
      <div class="values">{names.map((name) => <Value key={`${name}${isAll}`} name={name} value={asText(data[name])} isShown={isAll} />)}</div>
    </div>
  );
}

function Value({ name, value, isShown: isFirst }: { name: string; value: string; isShown: boolean }) {
  const [isShown, show] = useState(isFirst);
  return (
    <div class="value">
      <strong class="mono">{name}</strong>
      {isShown ? <pre tabIndex={0}>{value}</pre> : <pre class="masked" aria-label="hidden" role="img">••••••••••••</pre>}
      <div class="actions">
        <Button kind="quiet" icon={isShown ? 'hidden' : 'eye'} label={`${isShown ? 'Hide' : 'Show'} ${name}`} onClick={() => show(!isShown)}>{null}</Button>
        <Copy text={value} label={`Copy ${name}`} />
      </div>
    </div>
  );
}

function AsJson({ read }: { read: Read }) {
  const [isShown, show] = useState(false);
  if (!read.data) return <Gone read={read} />;
  const text = JSON.stringify(read.data, null, 2);
  return (
    <div class="card">
      <div class="row"><h2>JSON</h2>
        <Button icon={isShown ? 'hidden' : 'eye'} onClick={() => show(!isShown)}>{isShown ? 'Hide' : 'Show'}</Button>
        <Copy text={text} label="Copy the JSON" /></div>
      {isShown ? <pre class="output" tabIndex={0}>{text}</pre> : <p class="dim">Hidden.</p>}
    </div>
  );
}

export function NewSecret({ mount, folder }: { mount: Mount; folder: string }) {
  const [name, setName] = useState(folder ? folder + '/' : '');
  const target = name.replace(/^\/+|\/+$/g, '');
  const start = { data: {}, version: 0, time: '', isDestroyed: false };
  const back = address('secrets', 'list', mount.path, folder);
  return (
    <Page title="New secret" trail={<><a href="#/secrets">Secrets</a><span>/</span><a href={back}>{mount.path}/{folder}</a></>}>
      <div class="card"><Field label="Path" value={name} onInput={setName} required mono autofocus hint={`Below ${mount.path}/. Slashes make folders.`} /></div>
      <Editor mount={mount} name={target} start={start} isNew onDone={() => go('secrets', 'show', mount.path, target)} onClose={() => go('secrets', 'list', mount.path, folder)} />
    </Page>
  );
}

type Pair = { name: string; value: string; isShown: boolean };
const pairsOf = (data: Fields): Pair[] => Object.entries(data).map(([name, value]) => ({ name, value: asText(value), isShown: false }));

/** What the form holds as data. A value that was no text and still reads as JSON stays what it was. */
function dataOf(pairs: Pair[], before: Fields): Fields {
  const data: Fields = {};
  for (const { name, value } of pairs) {
    if (!name && !value) continue;
    if (!name) throw new Error('A value has no name.');
    if (Object.hasOwn(data, name)) throw new Error(`Two values are called ${name}.`);
    const was = before[name];
    const stays = was !== undefined && typeof was !== 'string';
    try {
      data[name] = stays ? JSON.parse(value) : value;
    } catch {
      data[name] = value;
    }
  }
  return data;
}

function parsed(text: string): Fields {
  const data = JSON.parse(text);
  if (data === null || typeof data !== 'object' || Array.isArray(data)) throw new Error('A secret is a JSON object.');
  return data;
}

function Editor({ mount, name, start, isNew, onDone, onClose }: {
  mount: Mount; name: string; start: Read; isNew?: boolean; onDone: () => void; onClose: () => void;
}) {
  const [view, setView] = useState('Form');
  const [pairs, setPairs] = useState<Pair[]>(() => [...pairsOf(start.data ?? {}), ...(isNew ? [{ name: '', value: '', isShown: true }] : [])]);
  const [text, setText] = useState(() => JSON.stringify(start.data ?? {}, null, 2));
  const [base, setBase] = useState(start.version);
  const [theirs, setTheirs] = useState<Read | null>(null);
  const current = () => (view === 'Form' ? dataOf(pairs, start.data ?? {}) : parsed(text));
  const change = (next: string) => {
    try {
      const data = current();
      if (next === 'JSON') setText(JSON.stringify(data, null, 2));
      else setPairs(pairsOf(data));
      setView(next);
    } catch (error) {
      notify((error as Error).message, true);
    }
  };
  const save = async () => {
    if (!name) throw new Error('The secret needs a path.');
    const data = current();
    try {
      await write(mount, name, data, base);
    } catch (error) {
      if (!isConflict(error)) throw error;
      setTheirs(await read(mount, name));
      return;
    }
    notify('Saved.');
    onDone();
  };
  const overwrite = () => {
    setBase(theirs!.version);
    setTheirs(null);
    notify(`Save again to write over version ${theirs!.version}.`);
  };
  const take = () => {
    setPairs(pairsOf(theirs!.data ?? {}));
    setText(JSON.stringify(theirs!.data ?? {}, null, 2));
    setBase(theirs!.version);
    setTheirs(null);
  };
  return (
    <div class="card">
      {theirs && <Conflict theirs={theirs} base={base} mine={current()} onTake={take} onOverwrite={overwrite} />}
      <Form action="Save" onSubmit={save} more={<Button onClick={onClose}>Cancel</Button>}>
        <Tabs names={['Form', 'JSON']} value={view} onInput={change} />
        {view === 'Form' ? <Pairs pairs={pairs} onInput={setPairs} /> : <Field label="JSON" rows={14} mono value={text} onInput={setText} />}
      </Form>
    </div>
  );
}

function Conflict({ theirs, base, mine, onTake, onOverwrite }: {
  theirs: Read; base: number; mine: Fields; onTake: () => void; onOverwrite: () => void;
}) {
  return (
    <div class="stack" role="alert">
      <div class="row"><h2>Somebody wrote version {theirs.version} meanwhile</h2><Badge tone="warn">conflict</Badge></div>
      <p>You began with {base === 0 ? 'nothing' : `version ${base}`}. Nothing of yours is saved yet. From theirs to yours:</p>
      <Difference before={theirs.data ?? {}} after={mine} />
      <div class="actions">
        <Button onClick={onTake}>Take theirs</Button>
        <Button kind="danger" onClick={onOverwrite}>Keep mine</Button>
      </div>
    </div>
  );
}

function Pairs({ pairs, onInput }: { pairs: Pair[]; onInput: (pairs: Pair[]) => void }) {
  const set = (at: number, change: Partial<Pair>) => onInput(pairs.map((pair, index) => (index === at ? { ...pair, ...change } : pair)));
  return (
    <div class="stack">
      {pairs.map((pair, at) => (
        <div class="edit" key={at}>
          <input class="mono" aria-label={`Name ${at + 1}`} placeholder="name" value={pair.name} spellcheck={false} autocomplete="off"
            onInput={(event) => set(at, { name: event.currentTarget.value })} />
          {pair.isShown
            ? <textarea class="mono" aria-label={`Value ${at + 1}`} placeholder="value" rows={Math.min(12, pair.value.split('\n').length)} value={pair.value}
              spellcheck={false} autocomplete="off" onInput={(event) => set(at, { value: event.currentTarget.value })} />
            : <button class="button plain" type="button" aria-label={`Show and edit value ${at + 1}`} onClick={() => set(at, { isShown: true })}>••••••••••••</button>}
          <Button kind="quiet" icon="cross" label={`Remove value ${at + 1}`} onClick={() => onInput(pairs.filter((_, index) => index !== at))}>{null}</Button>
        </div>
      ))}
      <div class="actions"><Button icon="plus" onClick={() => onInput([...pairs, { name: '', value: '', isShown: true }])}>Add a value</Button></div>
    </div>
  );
}

/** Patches metadata; only here a media type of its own is needed. */
export const patch = (path: string, fields: Fields) =>
  call('PATCH', path, fields, { contentType: 'application/merge-patch+json' });
