// The ceremony: a cluster is made, or its nodes are given their key by the holders of shares, one share at a time.
import { useState } from 'preact/hooks';
import { Failure, get, post, type Fields } from '../api';
import { Await, Badge, Button, Field, Form, Page, Take, Tabs, Tick, download } from '../parts';
import { Store, notify, sealStatus, useLoad, type SealStatus } from '../session';

interface CeremonyNode {
  id: string;
  node_id: string;
  address: string;
  sealed: boolean | null;
  fingerprint: string | null;
  error: string | null;
  voter: boolean;
  isOwn: boolean;
}
interface State {
  status: SealStatus;
  nodes: CeremonyNode[];
}
interface Fresh {
  shares: string[];
  threshold: number;
  token: string;
  /** How many were handed out. */
  step: number;
}

/** Shares that are being handed out outlive a visit of another page: there is no second copy of them. */
const handout = new Store<Fresh | null>(null);
window.addEventListener('beforeunload', (event) => {
  if (handout.value) event.preventDefault();
});

const open = { once: true, token: '' };

async function state(): Promise<State> {
  const status = await sealStatus();
  if (!status.initialized) return { status, nodes: [] };
  const own = await get('sys/unseal/node', open);
  const others = await get('sys/unseal/nodes', open).catch((error: Failure) => ({ nodes: [], error }));
  const nodes = [{ ...own, isOwn: true }, ...(others.nodes ?? []).map((node: Fields) => ({ ...node, isOwn: false }))];
  return { status, nodes };
}

export function Ceremony() {
  const loaded = useLoad(state, [], 1_500);
  const fresh = handout.use();
  if (fresh) return <Handout fresh={fresh} />;
  return (
    <Await loaded={loaded}>
      {(data) => (data.status.initialized
        ? <Unseal state={data} reload={loaded.reload} />
        : <Begin onMade={(made) => (handout.value = made)} reload={loaded.reload} />)}
    </Await>
  );
}

function Begin({ onMade, reload }: { onMade: (fresh: Fresh) => void; reload: () => void }) {
  const [view, setView] = useState('Make a cluster');
  return (
    <Page title="Ceremony" lead="This node belongs to no cluster yet. It can become the first node of a new one, or join one that is there.">
      <Tabs names={['Make a cluster', 'Join a cluster']} value={view} onInput={setView} />
      <div class="card narrow">{view === 'Make a cluster' ? <Initialise onMade={onMade} /> : <Join reload={reload} />}</div>
    </Page>
  );
}

function Initialise({ onMade }: { onMade: (fresh: Fresh) => void }) {
  const [shares, setShares] = useState('5');
  const [threshold, setThreshold] = useState('3');
  const submit = async () => {
    const fields = { secret_shares: Number(shares), secret_threshold: Number(threshold) };
    const made = await post('sys/init', fields, { once: true, slow: true, token: '', whole: true });
    onMade({ shares: made.keys_base64, threshold: fields.secret_threshold, token: made.root_token, step: 0 });
  };
  return (
    <Form action="Initialise" onSubmit={submit}>
      <div class="pair">
        <Field label="Shares" type="number" min={1} max={255} value={shares} onInput={setShares} required hint="One for each holder." />
        <Field label="Threshold" type="number" min={1} max={255} value={threshold} onInput={setThreshold} required hint="So many unseal." />
      </div>
      <p class="dim">Have the holders here: each share is shown once, to one person at a time, and cannot be shown again.</p>
    </Form>
  );
}

function Join({ reload }: { reload: () => void }) {
  const [token, setToken] = useState('');
  const submit = async () => {
    await post('sys/storage/raft/join', { token: token.trim() }, { once: true, slow: true, token: '' });
    notify('The node has joined. It is sealed until a ceremony.');
    reload();
  };
  return (
    <Form action="Join" onSubmit={submit}>
      <Field label="Join token" value={token} onInput={setToken} rows={4} mono required
        hint="Made on the page “Cluster” of a member, or by `conclave operator raft join-token`." />
    </Form>
  );
}

/** Shows the shares to one holder after the other. Going on takes the one before away for good. */
function Handout({ fresh }: { fresh: Fresh }) {
  const { step } = fresh;
  const [isTaken, take] = useState(false);
  const count = fresh.shares.length;
  const isToken = step === count;
  const text = isToken ? fresh.token : fresh.shares[step]!;
  const name = isToken ? 'root token' : `share ${step + 1}`;
  const next = () => {
    take(false);
    handout.value = isToken ? null : { ...fresh, shares: fresh.shares.map((share, at) => (at === step ? '' : share)), step: step + 1 };
  };
  const save = () => {
    download(isToken ? 'conclave-root-token.txt' : `conclave-share-${step + 1}-of-${count}.txt`, text + '\n');
    take(true);
  };
  return (
    <Page title="Hand out the shares" lead={`Any ${fresh.threshold} of the ${count} shares unseal the cluster. Nobody can show them again, this page included.`}>
      <div class="card narrow">
        <Dots done={step} total={count + 1} label={`${step} of ${count + 1} handed out`} />
        <h2>{isToken ? 'The root token' : `Share ${step + 1} of ${count}`}</h2>
        <p>{isToken
          ? 'It may do everything. Sign in with it, set up policies and logins, then revoke it.'
          : 'Only its holder looks at the screen now. Save it where nobody else comes to it.'}</p>
        <Take key={step} text={text} label={name} isSecret />
        <div class="actions">
          <Button kind="main" icon="down" onClick={save}>{`Download ${name}`}</Button>
        </div>
        <Tick label={`The ${name} is in safe hands`} value={isTaken} onInput={take} />
        <div class="actions"><Button onClick={next} disabled={!isTaken}>{isToken ? 'Done' : 'Next'}</Button></div>
      </div>
    </Page>
  );
}

function Dots({ done, total, label }: { done: number; total: number; label: string }) {
  return (
    <div class="dots" role="img" aria-label={label}>
      {Array.from({ length: total }, (_, at) => <i key={at} class={at < done ? 'full' : ''} />)}
    </div>
  );
}

function Unseal({ state: { status, nodes }, reload }: { state: State; reload: () => void }) {
  const [confirmed, setConfirmed] = useState<string[]>([]);
  const [results, setResults] = useState<Fields[]>([]);
  const sealed = nodes.filter((node) => node.sealed);
  const others = sealed.filter((node) => !node.isOwn && node.fingerprint);
  // A node that restarted shows another fingerprint, and has to be confirmed anew.
  const chosen = confirmed.filter((fingerprint) => others.some((node) => node.fingerprint === fingerprint));
  const toggle = (fingerprint: string, isOn: boolean) =>
    setConfirmed(isOn ? [...chosen, fingerprint] : chosen.filter((known) => known !== fingerprint));
  const lead = sealed.length === 0
    ? 'Every node that answers is unsealed. A node that restarts stays sealed until its holders meet again.'
    : `${sealed.length} of ${nodes.length} nodes ${sealed.length === 1 ? 'is' : 'are'} sealed. Any ${status.t} of ${status.n} shares unseal.`;
  return (
    <Page title="Ceremony" lead={lead}>
      <ul class="nodes">
        {nodes.map((node) => <NodeCard key={node.id} node={node} isChosen={chosen.includes(node.fingerprint ?? '')} onChoose={toggle} />)}
      </ul>
      {sealed.length > 0 && <Share status={status} chosen={chosen} onResults={setResults} reload={reload} isOwnSealed={status.sealed} />}
      {results.length > 0 && <Results results={results} />}
    </Page>
  );
}

function NodeCard({ node, isChosen, onChoose }: {
  node: CeremonyNode; isChosen: boolean; onChoose: (fingerprint: string, isOn: boolean) => void;
}) {
  const [tone, text] = node.error ? ['bad', 'no answer'] as const
    : node.sealed ? ['warn', 'sealed'] as const : ['good', 'unsealed'] as const;
  return (
    <li class={`card node ${tone}`}>
      <div class="row"><h2>{node.node_id || node.id}</h2><Badge tone={tone}>{text}</Badge></div>
      <p class="dim break">{node.address}{node.isOwn && ' · this node'}{!node.voter && ' · no vote'}</p>
      {node.error && <p class="break">{node.error}</p>}
      {node.fingerprint && <>
        <p class="label">Fingerprint</p>
        <code class="fingerprint">{node.fingerprint}</code>
        {!node.isOwn && <Tick label="It may receive the key" value={isChosen} onInput={(isOn) => onChoose(node.fingerprint!, isOn)}
          hint="Compare the fingerprint with the one that the node itself shows. Every holder has to confirm it." />}
      </>}
    </li>
  );
}

function Share({ status, chosen, onResults, reload, isOwnSealed }: {
  status: SealStatus; chosen: string[]; onResults: (results: Fields[]) => void; reload: () => void; isOwnSealed: boolean;
}) {
  const [share, setShare] = useState('');
  const submit = async () => {
    if (!isOwnSealed && chosen.length === 0) throw new Error('Confirm the nodes that may receive the key first.');
    const key = share.trim();
    // It leaves the page's memory whatever comes of it.
    setShare('');
    const fields = chosen.length > 0 ? { key, cluster: true, confirm: chosen } : { key };
    const reply = await post('sys/unseal', fields, { once: true, slow: true, token: '', whole: true });
    if (reply.nodes) onResults(reply.nodes);
    if (reply.progress === 0) notify(reply.sealed ? 'The shares were not enough.' : 'The key was put together.');
    reload();
  };
  const reset = async () => {
    await post('sys/unseal', { reset: true }, { once: true, token: '' });
    reload();
  };
  return (
    <div class="card narrow">
      <h2>Enter a share</h2>
      <div class="row">
        <Dots done={status.progress} total={status.t} label={`${status.progress} of ${status.t} shares`} />
        <strong>{status.progress} of {status.t}</strong>
      </div>
      {status.nonce && <p class="dim">Attempt <code>{status.nonce}</code>: all holders see the same.</p>}
      <Form action="Enter" onSubmit={submit} more={status.progress > 0 && <Button onClick={reset}>Begin again</Button>}>
        <Field label="Share" type="password" value={share} onInput={setShare} required mono />
      </Form>
      <p class="dim">Shares count on the node where they are entered, so all holders use this one.</p>
    </div>
  );
}

function Results({ results }: { results: Fields[] }) {
  return (
    <div class="card" role="status">
      <h2>What became of the others</h2>
      <ul class="plain">
        {results.map((node) => (
          <li key={node.id} class="row">
            <strong>{node.node_id || node.id}</strong>
            <Badge tone={node.sealed ? 'bad' : 'good'}>{node.sealed ? 'sealed' : 'unsealed'}</Badge>
            {node.error && <span class="break">{node.error}</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
