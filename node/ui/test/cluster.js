// Real nodes to try the interface on: the cluster that quickstart makes, and single ones that are fresh.
import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'node:https';
import { request as plainRequest } from 'node:http';

const agent = new Agent({ rejectUnauthorized: false });

/** One request to a node, past the interface. */
export function ask(address, method, path, token = '', fields = undefined) {
  return new Promise((done, failed) => {
    const isTls = address.startsWith('https:');
    const headers = token ? { 'X-Vault-Token': token } : {};
    const options = { method, headers, timeout: 20_000, ...(isTls ? { agent } : {}) };
    const asked = (isTls ? request : plainRequest)(`${address}/v1/${path}`, options, (reply) => {
      let text = '';
      reply.on('data', (part) => (text += part));
      reply.on('end', () => done({ status: reply.statusCode, body: text ? JSON.parse(text) : {} }));
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
    asked.on('error', failed);
    asked.end(fields === undefined ? undefined : JSON.stringify(fields));
  });
}

/** Asks until something holds. The limit is for busy machines; it is not what is tested. */
export async function until(what, holds, millis = 60_000) {
  const end = Date.now() + millis;
  for (;;) {
    const found = await holds().catch(() => false);
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 200));
  }
}

export class Cluster {
  constructor(binary, port) {
    this.folder = mkdtempSync(join(tmpdir(), 'conclave-ui-'));
    this.addresses = [0, 10, 20].map((offset) => `https://127.0.0.1:${port + offset}`);
    this.process = spawn(binary, ['quickstart', '--port', String(port)], { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.said = '';
    for (const pipe of [this.process.stdout, this.process.stderr]) pipe.on('data', (part) => (this.said += part));
    this.ended = new Promise((done) => this.process.on('exit', done));
  }

  async ready() {
    const file = join(this.folder, 'conclave-quickstart/env');
    this.token = await until('quickstart is done', async () => {
      if (this.process.exitCode !== null) throw new Error(this.said);
      return /Then try/.test(this.said) && /VAULT_TOKEN=(\S+)/.exec(readFileSync(file, 'utf8'))?.[1];
    }, 120_000).catch((error) => { throw new Error(`${error.message}\n${this.said}`); });
    return this;
  }

  share(number) {
    return readFileSync(join(this.folder, `conclave-quickstart/shares/share-${number}`), 'utf8').trim();
  }

  async leader() {
    const { body } = await ask(this.addresses[0], 'GET', 'sys/leader');
    return body.leader_address;
  }

  /** The address of a node that does not lead. */
  async follower() {
    const leader = await until('there is a leader', () => this.leader());
    return this.addresses.find((address) => address !== leader);
  }

  async stop() {
    this.process.kill('SIGINT');
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A node that belongs to no cluster. */
export class FreshNode {
  constructor(binary, port) {
    this.folder = mkdtempSync(join(tmpdir(), 'conclave-ui-'));
    this.address = `http://127.0.0.1:${port}`;
    mkdirSync(join(this.folder, 'data'), { mode: 0o700 });
    writeFileSync(join(this.folder, 'node.hcl'), `
      ui = true
      disable_mlock = true
      api_addr = "${this.address}"
      cluster_addr = "https://127.0.0.1:${port + 1}"
      storage "raft" {
        path = "${this.folder}/data"
        node_id = "first"
      }
      listener "tcp" {
        address = "127.0.0.1:${port}"
        cluster_address = "127.0.0.1:${port + 1}"
        tls_disable = true
      }`);
    this.process = spawn(binary, ['server', '-config', join(this.folder, 'node.hcl')], { stdio: 'ignore' });
    this.ended = new Promise((done) => this.process.on('exit', done));
  }
  async ready() {
    await until('the fresh node answers', async () => (await ask(this.address, 'GET', 'sys/init')).status === 200);
    return this;
  }
  async stop() {
    this.process.kill('SIGTERM');
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The processes of a quickstart cluster by the address in their configuration. */
export function processOf(cluster, address) {
  const port = new URL(address).port;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const file = words.map((word) => word.split('=').at(-1)).find((word) => word.startsWith(cluster.folder) && word.endsWith('.hcl'));
      if (file && readFileSync(file, 'utf8').includes(`127.0.0.1:${port}"`)) return Number(pid);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no process listens at ${address}`);
}
