// Policies: a list, an editor that shows what is what, and the question what a token may do at a path.
import { useRef, useState } from 'preact/hooks';
import { escaped, get, list, post, remove, type Fields } from '../api';
import { Await, Badge, Button, Confirm, Empty, Field, Form, Icon, Page } from '../parts';
import { address, go, notify, useLoad } from '../session';
import type { PageProps } from '../pages';

const EXAMPLE = `# Read everything below one folder.
path "secret/data/team/*" {
  capabilities = ["read", "list"]
}
`;
/** Policies that are there for good. */
const BUILT_IN = ['root', 'default'];

export function Policies({ path }: PageProps) {
  if (path[0] === 'new') return <NewPolicy />;
  if (path[0]) return <Policy key={path.join('/')} name={path.join('/')} />;
  return <All />;
}

function All() {
  const loaded = useLoad(() => list('sys/policies/acl'), []);
  const [filter, setFilter] = useState('');
  return (
    <Page title="Policies" lead="What tokens may do. Without a policy a token may do nothing."
      actions={<Button kind="main" icon="plus" onClick={() => go('policies', 'new')}>New policy</Button>}>
      <Await loaded={loaded}>
        {(names) => <>
          {names.length > 8 && <Field label="Filter" value={filter} onInput={setFilter} />}
          <ul class="rows">
            {names.filter((name) => name.includes(filter)).map((name) => (
              <li key={name}><a href={address('policies', name)}><Icon name="book" />{name}</a>{BUILT_IN.includes(name) && <Badge>built in</Badge>}</li>
            ))}
          </ul>
        </>}
      </Await>
      <Explain />
    </Page>
  );
}

/** What this session's token, or the one of an accessor, may do. */
function Explain() {
  const [path, setPath] = useState('');
  const [accessor, setAccessor] = useState('');
  const [found, setFound] = useState<{ path: string; capabilities: string[] } | null>(null);
  const ask = async () => {
    const wanted = path.replace(/^\/+/, '');
    const fields = { paths: [wanted], ...(accessor ? { accessor } : {}) };
    const reply: Fields = await post(accessor ? 'sys/capabilities-accessor' : 'sys/capabilities-self', fields, { once: true });
    setFound({ path: wanted, capabilities: reply[wanted] ?? reply.capabilities ?? [] });
  };
  return (
    <div class="card">
      <h2>What may a token do here?</h2>
      <Form action="Ask" onSubmit={ask}>
        <div class="pair">
          <Field label="Path" value={path} onInput={setPath} required mono placeholder="secret/data/team/app" />
          <Field label="Accessor" value={accessor} onInput={setAccessor} mono hint="Empty is your own token." />
        </div>
      </Form>
      {found && <div class="row" role="status"><code class="break">{found.path}</code>
        {found.capabilities.map((name) => <Badge key={name} tone={name === 'deny' ? 'bad' : 'accent'}>{name}</Badge>)}</div>}
    </div>
  );
}

function NewPolicy() {
  const [name, setName] = useState('');
  const [text, setText] = useState(EXAMPLE);
  const save = async () => {
    const wanted = name.trim().toLowerCase();
    if ((await list('sys/policies/acl')).includes(wanted)) throw new Error(`There is a policy ${wanted} already: open it to change it.`);
    await post(`sys/policies/acl/${escaped(wanted)}`, { policy: text });
    notify(`${wanted} is there.`);
    go('policies', wanted);
  };
  return (
    <Page title="New policy" trail={<a href="#/policies">Policies</a>}>
      <Form action="Create" onSubmit={save} more={<Button onClick={() => go('policies')}>Cancel</Button>}>
        <Field label="Name" value={name} onInput={setName} required autofocus hint="Lower case." />
        <Editor text={text} onInput={setText} />
      </Form>
    </Page>
  );
}

function Policy({ name }: { name: string }) {
  const path = `sys/policies/acl/${escaped(name)}`;
  const loaded = useLoad(() => get(path) as Promise<Fields>, [path]);
  const [isAsked, ask] = useState(false);
  const done = async () => {
    await remove(path);
    notify(`${name} is gone.`);
    go('policies');
  };
  const actions = !BUILT_IN.includes(name) && <Button kind="danger" onClick={() => ask(true)}>Delete</Button>;
  return (
    <Page title={name} trail={<a href="#/policies">Policies</a>} actions={actions}>
      <Await loaded={loaded}>
        {(found) => (name === 'root' ? <Empty>It has no text: it allows everything.</Empty> : <Change path={path} text={found.policy} />)}
      </Await>
      {isAsked && <Confirm title={`Delete ${name}`} text={<p>Tokens that have it lose what it allows at once.</p>} action="Delete" word={name} onDone={done} onClose={() => ask(false)} />}
    </Page>
  );
}

function Change({ path, text: start }: { path: string; text: string }) {
  const [text, setText] = useState(start);
  const save = async () => {
    await post(path, { policy: text });
    notify('Saved. It counts from now on.');
  };
  return <Form action="Save" onSubmit={save}><Editor text={text} onInput={setText} /></Form>;
}

/** Words, texts and notes of the language of policies, for their colours alone. */
function pieces(text: string): { kind: string; text: string }[] {
  const found: { kind: string; text: string }[] = [];
  let rest = 0;
  for (const match of text.matchAll(/(#[^\n]*|\/\/[^\n]*)|("(?:[^"\\\n]|\\.)*")|\b(path|capabilities|policy|allowed_parameters|denied_parameters|required_parameters|min_wrapping_ttl|max_wrapping_ttl)\b/g)) {
    found.push({ kind: '', text: text.slice(rest, match.index) });
    found.push({ kind: match[1] ? 't-note' : match[2] ? 't-text' : 't-word', text: match[0] });
    rest = match.index + match[0].length;
  }
  return [...found, { kind: '', text: text.slice(rest) + '\n' }];
}

function Editor({ text, onInput }: { text: string; onInput: (text: string) => void }) {
  const area = useRef<HTMLTextAreaElement>(null);
  return (
    <div class="editor">
      <pre aria-hidden="true">{pieces(text).map((piece, at) => (piece.kind ? <span key={at} class={piece.kind}>{piece.text}</span> : piece.text))}</pre>
      <textarea ref={area} aria-label="Policy" value={text} spellcheck={false} autocomplete="off" onInput={(event) => onInput(event.currentTarget.value)} />
    </div>
  );
}
