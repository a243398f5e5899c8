// The versions of a secret and what is kept about it.
import { useState } from 'preact/hooks';
import { get, post, type Fields } from '../api';
import { Await, Badge, Button, Choice, Confirm, Field, Form, Tick, When } from '../parts';
import { notify, useLoad } from '../session';
import { Difference } from './difference';
import { Values, patch, pathOf, read, type Read } from './secret';
import type { Mount } from './secrets';

interface Version {
  number: number;
  time: string;
  deleted: string;
  destroyed: boolean;
}

async function versions(mount: Mount, name: string): Promise<Version[]> {
  const found = (await get(pathOf(mount, 'metadata', name))).versions as Fields;
  return Object.entries(found)
    .map(([number, version]) => ({ number: Number(number), time: version.created_time, deleted: version.deletion_time, destroyed: version.destroyed }))
    .sort((one, other) => other.number - one.number);
}
const isDeleted = (version: Version) => Boolean(version.deleted) && Date.parse(version.deleted) <= Date.now();

export function Versions({ mount, name, onChange }: { mount: Mount; name: string; onChange: () => void }) {
  const loaded = useLoad(() => versions(mount, name), [mount.path, name]);
  const [shown, setShown] = useState<Read | null>(null);
  const [doomed, setDoomed] = useState(0);
  const act = async (verb: string, number: number, said: string) => {
    await post(pathOf(mount, verb, name), { versions: [number] });
    notify(said);
    loaded.reload();
    onChange();
  };
  return (
    <Await loaded={loaded}>
      {(all) => <>
        <ul class="rows">
          {all.map((version) => (
            <li key={version.number}>
              <span class="grow"><strong>Version {version.number}</strong> <span class="dim"><When time={version.time} /></span></span>
              {version.destroyed ? <Badge tone="bad">destroyed</Badge> : isDeleted(version) ? <Badge tone="warn">deleted</Badge> : <Badge tone="good">kept</Badge>}
              {!version.destroyed && <div class="actions">
                {isDeleted(version)
                  ? <Button onClick={() => act('undelete', version.number, `Version ${version.number} is back.`)}>Undelete</Button>
                  : <>
                    <Button onClick={async () => setShown(await read(mount, name, version.number))}>Show</Button>
                    <Button onClick={() => act('delete', version.number, `Version ${version.number} is deleted.`)}>Delete</Button>
                  </>}
                <Button kind="danger" onClick={() => setDoomed(version.number)}>Destroy</Button>
              </div>}
            </li>
          ))}
        </ul>
        {shown && <><h2>Version {shown.version}</h2><Values key={shown.version} read={shown} /></>}
        <Compare mount={mount} name={name} all={all.filter((version) => !version.destroyed && !isDeleted(version))} />
        {doomed > 0 && <Confirm title={`Destroy version ${doomed}`} text={<p>Its values are removed for good.</p>} action="Destroy" onClose={() => setDoomed(0)}
          onDone={() => act('destroy', doomed, `Version ${doomed} is destroyed.`)} />}
      </>}
    </Await>
  );
}

function Compare({ mount, name, all }: { mount: Mount; name: string; all: Version[] }) {
  const [from, setFrom] = useState('');
  const [to, setTo] = useState('');
  const [pair, setPair] = useState<[Fields, Fields] | null>(null);
  if (all.length < 2) return null;
  const options = all.map((version) => [String(version.number), `Version ${version.number}`] as [string, string]);
  const [left, right] = [from || String(all[1]!.number), to || String(all[0]!.number)];
  const compare = async () => {
    const [before, after] = await Promise.all([read(mount, name, Number(left)), read(mount, name, Number(right))]);
    setPair([before.data ?? {}, after.data ?? {}]);
  };
  return (
    <div class="card">
      <h2>Compare</h2>
      <div class="tools end">
        <Choice label="From" value={left} options={options} onInput={(value) => { setFrom(value); setPair(null); }} />
        <Choice label="To" value={right} options={options} onInput={(value) => { setTo(value); setPair(null); }} />
        <Button onClick={compare}>Compare</Button>
      </div>
      {pair && <Difference before={pair[0]} after={pair[1]} />}
    </div>
  );
}

export function Metadata({ mount, name }: { mount: Mount; name: string }) {
  const path = pathOf(mount, 'metadata', name);
  const loaded = useLoad(() => get(path) as Promise<Fields>, [path]);
  return <Await loaded={loaded}>{(found) => <MetadataForm key={found.updated_time} path={path} found={found} reload={loaded.reload} />}</Await>;
}

function MetadataForm({ path, found, reload }: { path: string; found: Fields; reload: () => void }) {
  const [most, setMost] = useState(String(found.max_versions));
  const [isStrict, setStrict] = useState<boolean>(found.cas_required);
  const [after, setAfter] = useState<string>(found.delete_version_after);
  const [custom, setCustom] = useState(() => Object.entries(found.custom_metadata ?? {}).map(([name, value]) => `${name} = ${value}`).join('\n'));
  const save = async () => {
    const told: Fields = {};
    for (const line of custom.split('\n').filter((line) => line.trim())) {
      const [name, ...rest] = line.split('=');
      if (rest.length === 0) throw new Error(`“${line.trim()}” is not name = value.`);
      told[name!.trim()] = rest.join('=').trim();
    }
    // What was taken out is said to be gone, or the merge would keep it.
    for (const name of Object.keys(found.custom_metadata ?? {})) told[name] ??= null;
    await patch(path, { max_versions: Number(most), cas_required: isStrict, delete_version_after: after || '0s', custom_metadata: told });
    notify('The metadata is saved.');
    reload();
  };
  return (
    <div class="card">
      <dl class="facts">
        <dt>Created</dt><dd><When time={found.created_time} /></dd>
        <dt>Changed</dt><dd><When time={found.updated_time} /></dd>
        <dt>Versions</dt><dd>{found.oldest_version || 1} to {found.current_version}</dd>
      </dl>
      <Form action="Save" onSubmit={save}>
        <div class="pair">
          <Field label="Versions kept" type="number" min={0} value={most} onInput={setMost} hint="0 is as many as the mount keeps." />
          <Field label="Delete a version after" value={after} onInput={setAfter} hint="Such as 30d; 0s is never." />
        </div>
        <Tick label="Every write says which version it follows" value={isStrict} onInput={setStrict} />
        <Field label="Notes" rows={4} mono value={custom} onInput={setCustom} hint="A line each: name = value. Not secret to those who may list." />
      </Form>
    </div>
  );
}
