// One path of an engine: a form for each of its operations, and what came of it.
import { useState } from 'preact/hooks';
import { call, escaped, type Fields } from '../api';
import { Badge, Button, Copy, Field, Form, Tabs } from '../parts';
import { FieldsOf, sentAll, type ApiPath, type Operation } from './schema';

const WORDS: { [verb: string]: string } = { GET: 'Read', LIST: 'List', POST: 'Write', PATCH: 'Patch', DELETE: 'Delete' };

export function PathForm({ path, mount }: { path: ApiPath; mount: string }) {
  const [isOpen, open] = useState(false);
  return (
    <details class="path" onToggle={(event) => open(event.currentTarget.open)}>
      <summary>
        <code>{path.path.slice(mount.length) || '(the mount itself)'}</code>
        <span class="dim">{path.description}</span>
        {path.needsSudo && <Badge tone="warn">sudo</Badge>}
      </summary>
      {isOpen && <div><Operations path={path} /></div>}
    </details>
  );
}

function Operations({ path }: { path: ApiPath }) {
  const [verb, setVerb] = useState(path.operations[0]?.verb ?? '');
  const [places, setPlaces] = useState<{ [name: string]: string }>({});
  const operation = path.operations.find((known) => known.verb === verb);
  if (!operation) return <p class="dim">It answers nothing that can be asked here.</p>;
  return (
    <>
      {path.operations.length > 1 && <Tabs names={path.operations.map((known) => WORDS[known.verb]!)} value={WORDS[verb]!}
        onInput={(name) => setVerb(path.operations.find((known) => WORDS[known.verb] === name)!.verb)} />}
      <Act key={verb} path={path} operation={operation} places={places} onPlaces={setPlaces} />
    </>
  );
}

function Act({ path, operation, places, onPlaces }: {
  path: ApiPath; operation: Operation; places: { [name: string]: string }; onPlaces: (places: { [name: string]: string }) => void;
}) {
  const [values, setValues] = useState<{ [name: string]: string }>({});
  const [reply, setReply] = useState<string | null>(null);
  const [isSure, setSure] = useState(false);
  const isDeletion = operation.verb === 'DELETE';
  const act = async () => {
    if (isDeletion && !isSure) return setSure(true);
    setSure(false);
    setReply(null);
    const target = path.path.replace(/\{([^}]+)\}/g, (_, name) => escaped(places[name] ?? ''));
    setReply(shown(await asked(operation, target, sentAll(operation.fields, values))));
  };
  return (
    <>
      <Form action={isDeletion && isSure ? 'Yes, delete' : WORDS[operation.verb]!} kind={isDeletion ? 'danger' : 'main'} onSubmit={act}>
        {path.parameters.map((given) => (
          <Field key={given.name} label={given.name} hint={given.description} value={places[given.name] ?? ''} required={operation.verb !== 'LIST'} mono
            onInput={(value) => onPlaces({ ...places, [given.name]: value })} />
        ))}
        <FieldsOf fields={operation.fields} values={values} onInput={setValues} />
      </Form>
      {reply !== null && <Reply text={reply} />}
    </>
  );
}

function asked({ verb }: Operation, target: string, fields: Fields): Promise<any> {
  if (verb === 'POST') return call('POST', target, fields, { whole: true });
  if (verb === 'PATCH') return call('PATCH', target, fields, { whole: true, contentType: 'application/merge-patch+json' });
  if (verb === 'DELETE') return call('DELETE', target, undefined, { whole: true });
  const query = new URLSearchParams(verb === 'LIST' ? { list: 'true' } : {});
  for (const [name, value] of Object.entries(fields)) query.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
  return call('GET', query.size > 0 ? `${target}?${query}` : target, undefined, { whole: true });
}

/** The part of a reply that says something. */
function shown(reply: any): string {
  if (typeof reply === 'string') return reply;
  const told = reply?.data ?? reply?.auth ?? reply?.wrap_info ?? reply;
  const text = JSON.stringify(reply?.warnings ? { data: told, warnings: reply.warnings } : told, null, 2);
  return !text || text === '{}' ? 'Done.' : text;
}

/** What came back may be a secret, so it is shown if somebody asks. */
function Reply({ text }: { text: string }) {
  const [isShown, show] = useState(text === 'Done.');
  return (
    <div class="stack" role="status">
      <div class="row"><h3>Reply</h3>
        {text !== 'Done.' && <><Button icon={isShown ? 'hidden' : 'eye'} onClick={() => show(!isShown)}>{isShown ? 'Hide' : 'Show'}</Button><Copy text={text} label="Copy the reply" /></>}</div>
      {isShown ? <pre class="output" tabIndex={0}>{text}</pre> : <p class="dim">It came back, and is hidden.</p>}
    </div>
  );
}
