// Drives a server through node-vault, as a program would that was written for Vault.
//
// It takes the address and a root token from VAULT_ADDR and VAULT_TOKEN. Each check prints a line; the last line is
// `N passed, N failed`, and the exit code is 1 if any failed.
'use strict';

const assert = require('node:assert');
const vault = require('node-vault');

const root = vault();
const withToken = (token) => vault({ token });

/** Whether a call is refused with this status. */
async function refused(call, status) {
  const error = await call.then(() => null, (reason) => reason);
  assert.ok(error, 'the call was not refused');
  assert.strictEqual(error.response && error.response.statusCode, status);
  return error;
}

const checks = {
  'health, seal status and leader': async () => {
    assert.strictEqual((await root.health()).initialized, true);
    assert.strictEqual((await root.status()).sealed, false);
    assert.strictEqual(typeof (await root.leader()).ha_enabled, 'boolean');
  },
  'a secret is written, read, listed and deleted': async () => {
    await root.write('secret/data/node/app', { data: { word: 'one' } });
    assert.strictEqual((await root.read('secret/data/node/app')).data.data.word, 'one');
    assert.deepStrictEqual((await root.list('secret/metadata/node')).data.keys, ['app']);
    await root.delete('secret/data/node/app');
    await refused(root.read('secret/data/node/app'), 404);
    await root.write('secret/undelete/node/app', { versions: [1] });
    assert.strictEqual((await root.read('secret/data/node/app')).data.data.word, 'one');
  },
  'a write that names an older version is refused': async () => {
    const late = { data: { word: 'late' }, options: { cas: 0 } };
    const error = await refused(root.write('secret/data/node/app', late), 400);
    assert.match(error.message, /check-and-set parameter did not match/);
  },
  'a list of nothing is not found': async () => {
    await refused(root.list('secret/metadata/none'), 404);
  },
  'mounts are made, listed and removed': async () => {
    await root.mount({ mount_point: 'node-kv', type: 'kv', description: 'of a client' });
    assert.strictEqual((await root.mounts()).data['node-kv/'].type, 'kv');
    await root.write('node-kv/app', { word: 'plain' });
    assert.strictEqual((await root.read('node-kv/app')).data.word, 'plain');
    await root.unmount({ mount_point: 'node-kv' });
    assert.strictEqual((await root.mounts()).data['node-kv/'], undefined);
  },
  'every path has help': async () => {
    for (const path of ['sys/mounts', 'secret/data/app', 'auth/token/create']) {
      assert.ok((await root.help(path)).help, path);
    }
  },
  'audit devices are none': async () => {
    assert.deepStrictEqual((await root.audits()).data, {});
  },
  'a policy is what a token may do': async () => {
    const rules = 'path "secret/data/node/*" { capabilities = ["read"] }';
    await root.addPolicy({ name: 'node-reader', rules });
    assert.ok((await root.policies()).policies.includes('node-reader'));
    // A client of its own: this library makes the new token its own.
    const made = await vault().tokenCreate({ policies: ['node-reader'], ttl: '1h' });
    const reader = withToken(made.auth.client_token);
    assert.strictEqual((await reader.read('secret/data/node/app')).data.data.word, 'one');
    await refused(reader.write('secret/data/node/app', { data: {} }), 403);
    assert.strictEqual((await reader.tokenRenewSelf({ increment: '30m' })).auth.lease_duration, 1800);
    await root.tokenRevoke({ token: made.auth.client_token });
    await refused(reader.tokenLookupSelf(), 403);
  },
  'a wrapped reply opens once': async () => {
    const wrapped = await root.read('secret/data/node/app', { headers: { 'X-Vault-Wrap-TTL': '1m' } });
    const opener = withToken(wrapped.wrap_info.token);
    assert.strictEqual((await opener.unwrap()).data.data.word, 'one');
    await refused(withToken(wrapped.wrap_info.token).unwrap(), 400);
  },
  'a login by role': async () => {
    await root.enableAuth({ mount_point: 'node-role', type: 'approle' });
    await root.write('auth/node-role/role/app', { token_policies: 'node-reader' });
    const id = (await root.read('auth/node-role/role/app/role-id')).data.role_id;
    const secret = (await root.write('auth/node-role/role/app/secret-id', {})).data.secret_id;
    const login = { mount_point: 'node-role', role_id: id, secret_id: secret };
    const session = await vault().approleLogin(login);
    assert.deepStrictEqual(session.auth.policies, ['default', 'node-reader']);
  },
};

async function main() {
  let passed = 0;
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      passed += 1;
      console.log(`ok   ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${error.message}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

main();
