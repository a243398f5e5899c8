// Wrapping: a note that one person can read once, and its opening by whoever got the link.
import { useState } from 'preact/hooks';
import { call, type Fields } from '../api';
import { Button, Choice, Field, Form, Page, Take, Tabs, When, span } from '../parts';
import { go, session } from '../session';
import type { PageProps } from '../pages';

const TIMES: [string, string][] = [['5m', '5 minutes'], ['1h', '1 hour'], ['24h', '1 day'], ['168h', '7 days']];

export function Wrapping() {
  const [made, setMade] = useState<Fields | null>(null);
  if (made) return <Handed made={made} onDone={() => setMade(null)} />;
  return <Wrap onMade={setMade} />;
}

function Wrap({ onMade }: { onMade: (made: Fields) => void }) {
  const [view, setView] = useState('Note');
  const [note, setNote] = useState('');
  const [json, setJson] = useState('{\n  \n}');
  const [ttl, setTtl] = useState('1h');
  const wrap = async () => {
    const fields = view === 'Note' ? { note } : JSON.parse(json);
    const reply = await call('POST', 'sys/wrapping/wrap', fields, { wrapTtl: ttl, whole: true });
    setNote('');
    onMade(reply.wrap_info);
  };
  return (
    <Page title="Wrap a note" lead="Somebody else opens it once. If they find it opened already, you both know that a third one read it.">
      <div class="card narrow">
        <Tabs names={['Note', 'JSON']} value={view} onInput={setView} />
        <Form action="Wrap" onSubmit={wrap}>
          {view === 'Note'
            ? <Field label="Note" rows={6} value={note} onInput={setNote} required />
            : <Field label="JSON" rows={8} mono value={json} onInput={setJson} required />}
          <Choice label="Can be opened for" value={ttl} options={TIMES} onInput={setTtl} />
        </Form>
      </div>
    </Page>
  );
}

function Handed({ made, onDone }: { made: Fields; onDone: () => void }) {
  return (
    <Page title="Hand over the link" lead={`It opens once, within ${span(made.ttl)}. The part behind # is not sent to any server when the link is opened.`}>
      <div class="card narrow">
        <h2>Link</h2>
        <Take label="link" text={`${location.origin}/ui/#/unwrap/${encodeURIComponent(made.token)}`} isSecret />
        <h2>Or the token alone</h2>
        <Take label="wrapping token" text={made.token} isSecret />
        <div class="actions"><Button onClick={onDone}>Wrap another</Button></div>
      </div>
    </Page>
  );
}

/** Opens what was wrapped. The token is taken out of the address at once, so that it stays in no history. */
export function Unwrap({ path }: PageProps) {
  const [token, setToken] = useState(() => {
    if (path[0]) history.replaceState(null, '', '#/unwrap');
    return path[0] ?? '';
  });
  const [info, setInfo] = useState<Fields | null>(null);
  const [opened, setOpened] = useState<Fields | null>(null);
  const look = async () => setInfo(await call('POST', 'sys/wrapping/lookup', { token: token.trim() }, { token: '', once: true }));
  const unwrap = async () => {
    const reply = await call('POST', 'sys/wrapping/unwrap', {}, { token: token.trim(), once: true, whole: true });
    setOpened(reply.auth ? { token: reply.auth.client_token } : reply.data ?? reply);
    setToken('');
  };
  if (opened) return <Opened opened={opened} />;
  return (
    <Page title="Open a wrapped note" lead="It opens once: whoever comes second finds nothing.">
      <div class="card narrow">
        <Form action="Open" onSubmit={unwrap} more={<Button onClick={look} disabled={!token}>Look at it first</Button>}>
          <Field label="Wrapping token" type="password" mono value={token} onInput={setToken} required />
        </Form>
        {info && <dl class="facts" role="status">
          <dt>Made at</dt><dd><code>{info.creation_path}</code></dd>
          <dt>Made</dt><dd><When time={info.creation_time} /></dd>
          <dt>Lives for</dt><dd>{span(info.creation_ttl)}</dd>
        </dl>}
        <p class="dim">Is it spent before you opened it? Then tell whoever sent it that somebody else read it.</p>
      </div>
    </Page>
  );
}

function Opened({ opened }: { opened: Fields }) {
  const isNote = typeof opened.note === 'string' && Object.keys(opened).length === 1;
  const isIn = session.use() !== null;
  return (
    <Page title="Opened" lead="This is the only time that it is shown.">
      <div class="card narrow">
        {isNote ? <pre class="output" tabIndex={0}>{opened.note}</pre>
          : Object.entries(opened).map(([name, value]) => (
            <div class="stack" key={name}><h2>{name}</h2><Take label={name} text={typeof value === 'string' ? value : JSON.stringify(value)} isSecret /></div>
          ))}
        <div class="actions"><Button onClick={() => go(isIn ? 'secrets' : 'login')}>Done</Button></div>
      </div>
    </Page>
  );
}
