// The nodes: who leads, how far each is, and what can be done about it.
import { useState } from 'preact/hooks';
import { Failure, get, post, type Fields } from '../api';
import { Await, Badge, Button, Confirm, Dialog, Field, Form, Page, Take, span } from '../parts';
import { notify, useLoad } from '../session';

interface ClusterNode {
  id: string;
  node_id: string;
  api_address: string;
  cluster_address: string;
  active_node: boolean;
  alive: boolean;
  sealed: boolean | null;
  state: string | null;
  lag: number | null;
  last_contact: string | null;
  version: string;
}
interface Facts {
  nodes: ClusterNode[];
  health: Fields | null;
  keys: Fields | null;
}

/** Nothing, if the token may not ask. */
const perhaps = (path: string) => get(path).catch((error: Failure) => {
  if (error.status === 403) return null;
  throw error;
});

async function facts(): Promise<Facts> {
  const [status, health, keys] = await Promise.all([get('sys/ha-status'), perhaps('sys/storage/raft/autopilot/state'), perhaps('sys/key-status')]);
  return { nodes: status.nodes, health, keys };
}

type Tone = 'good' | 'bad' | 'warn';
function condition(node: ClusterNode): { tone: Tone; text: string } {
  if (!node.alive) return { tone: 'bad', text: 'no answer' };
  if (node.sealed) return { tone: 'warn', text: 'sealed' };
  if (node.state && node.state !== 'serving') return { tone: 'warn', text: node.state };
  return { tone: 'good', text: 'serving' };
}
/** What a state means, and what helps. */
const REASONS: { [state: string]: string } = {
  'no answer': 'It did not answer within a second: it is down, or cut off.',
  sealed: 'It replicates and holds no key. Hold a ceremony.',
  behind: 'It lags behind what the leader confirms.',
  unconfirmed: 'It has keys and waits for an unsealed leader to confirm its data.',
  'clock off': 'Its clock is more than 5 s off the median.',
  'disk slow': 'Its disk takes nothing, or took nothing a moment ago.',
  doubled: 'A second process runs under its id.',
  'rolled back': 'Its disk went back in time. Replace it.',
};

export function Cluster() {
  const loaded = useLoad(facts, [], 2_000);
  const [dialog, setDialog] = useState<'join' | 'seal' | 'down' | ClusterNode | null>(null);
  const close = () => setDialog(null);
  const actions = <>
    <Button kind="main" icon="plus" onClick={() => setDialog('join')}>Add a node</Button>
    <Button onClick={() => setDialog('down')}>Step down</Button>
    <Button kind="danger" onClick={() => setDialog('seal')}>Seal this node</Button>
  </>;
  return (
    <Page title="Cluster" lead="As this node sees it, asked again every two seconds." actions={actions}>
      <Await loaded={loaded}>
        {({ nodes, health, keys }) => <>
          {loaded.error && <p class="problem" role="alert">The last look failed: {loaded.error.message}</p>}
          <div class="card"><Map nodes={nodes} /><Summary nodes={nodes} health={health} /></div>
          <NodeTable nodes={nodes} onRemove={setDialog} />
          {keys && <KeyTerm keys={keys} />}
        </>}
      </Await>
      {dialog === 'join' && <JoinToken onClose={close} />}
      {dialog === 'down' && <Confirm title="Step down" text={<p>The leader hands leadership to another unsealed node. Nothing is lost, and requests wait for a moment.</p>}
        action="Step down" onClose={close} onDone={stepDown} />}
      {dialog === 'seal' && <Confirm title="Seal this node" action="Seal" onClose={close} onDone={sealNode}
        text={<p>The node that serves this page drops its keys, and this session with it. It goes on replicating. A ceremony unseals it.</p>} />}
      {dialog && typeof dialog === 'object' && <Remove node={dialog} onClose={close} reload={loaded.reload} />}
    </Page>
  );
}

async function stepDown() {
  await post('sys/step-down', {}, { once: true });
  notify('Leadership was handed over.');
}
async function sealNode() {
  await post('sys/seal', {}, { once: true });
  notify('The node is sealed.');
}

function Summary({ nodes, health }: { nodes: ClusterNode[]; health: Fields | null }) {
  const bad = nodes.filter((node) => condition(node).tone !== 'good');
  return (
    <div class="row" role="status">
      {bad.length === 0 ? <Badge tone="good">all nodes serve</Badge> : <Badge tone="warn">{bad.length} of {nodes.length} do not serve</Badge>}
      {health && <span class="dim">{health.failure_tolerance === 0
        ? 'No further voter may fail.' : `${health.failure_tolerance} more ${health.failure_tolerance === 1 ? 'voter' : 'voters'} may fail.`}</span>}
    </div>
  );
}

/** The leader above, who follows below; the table says the same in words. */
function Map({ nodes }: { nodes: ClusterNode[] }) {
  const leader = nodes.find((node) => node.active_node);
  const others = nodes.filter((node) => node !== leader);
  const width = Math.max(480, others.length * 150);
  const place = (at: number) => ({ x: (width / (others.length + 1)) * (at + 1), y: leader ? 190 : 100 });
  const top = { x: width / 2, y: 82 };
  const label = `${leader ? `${leader.node_id} leads` : 'Nobody leads'}; ${others.map((node) => `${node.node_id}: ${condition(node).text}`).join(', ')}`;
  return (
    <svg class="map" viewBox={`0 0 ${width} 250`} role="img" aria-label={label}>
      {leader && others.map((node, at) => {
        const { x, y } = place(at);
        return <line key={node.id} class={node.alive ? '' : 'lost'} x1={top.x} y1={top.y} x2={x} y2={y} />;
      })}
      {leader && <Dot node={leader} {...top} under="leader" />}
      {others.map((node, at) => <Dot key={node.id} node={node} {...place(at)} under={node.alive ? `${condition(node).text}, ${node.lag ?? '?'} behind` : 'no answer'} />)}
    </svg>
  );
}

/** A node; the leader's name stands above it, where no line goes. */
function Dot({ node, x, y, under }: { node: ClusterNode; x: number; y: number; under: string }) {
  const name = y + (node.active_node ? -48 : 40);
  return (
    <g class={`${node.active_node ? 'leader ' : ''}${condition(node).tone}`}>
      <circle cx={x} cy={y} r={node.active_node ? 24 : 20} />
      <text x={x} y={name}>{node.node_id || node.id.slice(0, 8)}</text>
      <text class="under" x={x} y={name + 15}>{under}</text>
    </g>
  );
}

function NodeTable({ nodes, onRemove }: { nodes: ClusterNode[]; onRemove: (node: ClusterNode) => void }) {
  return (
    <ul class="nodes">
      {nodes.map((node) => {
        const { tone, text } = condition(node);
        return (
          <li key={node.id} class={`card node ${tone}`}>
            <div class="row"><h2>{node.node_id || node.id}</h2>{node.active_node && <Badge tone="accent">leader</Badge>}<Badge tone={tone}>{text}</Badge></div>
            {REASONS[text] && <p>{REASONS[text]}</p>}
            <dl class="facts">
              <dt>API</dt><dd>{node.api_address}</dd>
              <dt>Cluster</dt><dd>{node.cluster_address}</dd>
              <dt>Entries behind</dt><dd>{node.lag ?? 'unknown'}</dd>
              <dt>Last heard</dt><dd>{node.last_contact ?? (node.alive ? 'this node' : 'never')}</dd>
              <dt>Id</dt><dd><code>{node.id}</code></dd>
            </dl>
            <div class="actions"><Button kind="danger" label={`Remove ${node.node_id}`} onClick={() => onRemove(node)}>Remove</Button></div>
          </li>
        );
      })}
    </ul>
  );
}

function Remove({ node, onClose, reload }: { node: ClusterNode; onClose: () => void; reload: () => void }) {
  const done = async () => {
    await post('sys/storage/raft/remove-peer', { server_id: node.id });
    notify(`${node.node_id} is no member any more. Stop its process.`);
    reload();
  };
  const text = <>
    <p>{node.node_id} leaves the cluster for good: it cannot come back under its id. It is refused if the nodes that remain could not go on.</p>
    <p class="dim">{node.api_address}</p>
  </>;
  return <Confirm title={`Remove ${node.node_id}`} text={text} action="Remove" word={node.node_id || node.id} onDone={done} onClose={onClose} />;
}

function JoinToken({ onClose }: { onClose: () => void }) {
  const [ttl, setTtl] = useState('30m');
  const [uses, setUses] = useState('1');
  const [token, setToken] = useState('');
  const make = async () => setToken((await post('sys/storage/raft/join-token', { ttl, uses: Number(uses) })).token);
  return (
    <Dialog title="Add a node" onClose={onClose}>
      {token ? <>
        <p>On the new node, within {ttl}, with <code>VAULT_ADDR</code> set to its own address:</p>
        <Take label="join command" text={`conclave operator raft join ${token}`} isSecret />
        <p class="dim">It replicates at once and is sealed until a ceremony confirms it.</p>
        <div class="actions"><Button onClick={onClose}>Done</Button></div>
      </> : <Form action="Make a join token" onSubmit={make} more={<Button onClick={onClose}>Cancel</Button>}>
        <div class="pair">
          <Field label="Valid for" value={ttl} onInput={setTtl} required />
          <Field label="Nodes that may use it" type="number" min={1} max={64} value={uses} onInput={setUses} required />
        </div>
      </Form>}
    </Dialog>
  );
}

function KeyTerm({ keys }: { keys: Fields }) {
  const rotate = async () => {
    await post('sys/rotate', {}, { once: true });
    notify('A new key term has begun.');
  };
  return (
    <div class="card">
      <div class="row"><h2>Key term {keys.term}</h2><Button onClick={rotate}>Rotate</Button></div>
      <p class="dim">Begun {span((Date.now() - Date.parse(keys.install_time)) / 1000)} ago, {Number(keys.encryptions).toLocaleString('en')} encryptions reserved.</p>
    </div>
  );
}
