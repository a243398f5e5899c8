// The main act of each other page.
import assert from 'node:assert/strict';
import { ask, until } from './cluster.js';

const open = (page, hash) => page.evaluate((target) => (location.hash = target), hash);
/** What stands behind a masked text that can be shown. */
async function shown(page, label) {
  await page.getByRole('button', { name: `Show ${label}`, exact: true }).click();
  return (await page.locator('.take', { has: page.getByRole('button', { name: `Copy ${label}`, exact: true }) }).locator('code').textContent()).trim();
}

export const pages = {
  'the cluster is shown, hands leadership over, and makes a join command': async (stage) => {
    const { cluster } = stage;
    const page = await stage.signedIn(await cluster.follower());
    await page.getByRole('link', { name: 'Cluster', exact: true }).click();
    await page.getByText('all nodes serve').waitFor();
    assert.equal(await page.locator('.node').count(), 3);
    const before = await until('there is a leader', () => cluster.leader());
    await page.getByRole('button', { name: 'Step down' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Step down' }).click();
    const after = await until('another one leads', async () => {
      const leader = await cluster.leader();
      return leader && leader !== before && leader;
    });
    await page.locator('.node', { hasText: after }).getByText('leader', { exact: true }).waitFor();

    await page.getByRole('button', { name: 'Add a node' }).click();
    await page.getByRole('button', { name: 'Make a join token' }).click();
    assert.match(await shown(page, 'join command'), /^conclave operator raft join cjt\.\S+$/);
    await page.getByRole('button', { name: 'Done' }).click();

    await page.getByRole('button', { name: 'Remove node3' }).click();
    await page.getByLabel('Type node3 to confirm').fill('node2');
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByText('Type node3 to go on.').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    const { body } = await ask(cluster.addresses[0], 'GET', 'sys/storage/raft/configuration', cluster.token);
    assert.equal(body.data.config.servers.length, 3);
  },

  'a policy is written, refused if it is none, explained and deleted': async (stage) => {
    const { cluster } = stage;
    const page = await stage.signedIn(cluster.addresses[0]);
    await page.getByRole('link', { name: 'Policies' }).click();
    await page.getByRole('button', { name: 'New policy' }).click();
    await page.getByLabel('Name').fill('readers');
    await page.getByLabel('Policy').fill('path "secret/data/a" {');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').first().waitFor();
    await page.getByLabel('Policy').fill('path "secret/data/a" { capabilities = ["read"] }');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('heading', { name: 'readers', level: 1 }).waitFor();
    const read = await ask(cluster.addresses[1], 'GET', 'sys/policies/acl/readers', cluster.token);
    assert.match(read.body.data.policy, /secret\/data\/a/);

    const made = await ask(cluster.addresses[0], 'POST', 'auth/token/create', cluster.token, { policies: ['readers'] });
    await page.getByRole('link', { name: 'Policies' }).first().click();
    await page.getByLabel('Path').fill('secret/data/a');
    await page.getByLabel('Accessor').fill(made.body.auth.accessor);
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.locator('.badge', { hasText: /^read$/ }).waitFor();

    await page.getByRole('link', { name: 'readers' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByLabel('Type readers to confirm').fill('readers');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('readers is gone').waitFor();
    assert.equal((await ask(cluster.addresses[0], 'GET', 'sys/policies/acl/readers', cluster.token)).status, 404);
  },

  'an engine is enabled, tuned, used by its forms and disabled': async (stage) => {
    const { cluster } = stage;
    const page = await stage.signedIn(cluster.addresses[2]);
    await page.getByRole('link', { name: 'Engines' }).click();
    await page.getByRole('button', { name: 'Enable an engine' }).click();
    await page.getByLabel('Kind').selectOption('transit');
    await page.getByLabel('Path').fill('crypto');
    await page.getByRole('button', { name: 'Enable', exact: true }).click();
    await page.getByRole('heading', { name: 'crypto/', level: 1 }).waitFor();

    await page.getByRole('button', { name: 'Tune' }).click();
    await page.getByRole('checkbox', { name: /more fields/ }).check();
    await page.getByLabel('description', { exact: true }).fill('for tests');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('for tests').first().waitFor();

    const keys = page.locator('details.path', { has: page.locator('summary code', { hasText: /^keys\/\{name\}$/ }) });
    await keys.locator('summary').click();
    await keys.getByRole('button', { name: 'Write' }).first().click();
    await keys.getByLabel('name', { exact: true }).fill('blue');
    await keys.locator('button[type=submit]').click();
    await keys.getByRole('heading', { name: 'Reply' }).waitFor();
    assert.equal((await ask(cluster.addresses[0], 'GET', 'crypto/keys/blue', cluster.token)).status, 200);

    await page.getByRole('button', { name: 'Disable' }).click();
    await page.getByLabel('Type crypto to confirm').fill('crypto');
    await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
    await page.getByText('crypto/ is disabled').waitFor();
    assert.notEqual((await ask(cluster.addresses[0], 'GET', 'crypto/keys/blue', cluster.token)).status, 200);
  },

  'every engine and auth method that can be enabled has forms': async (stage) => {
    const { cluster } = stage;
    const { body } = await ask(cluster.addresses[0], 'GET', 'sys/plugins/catalog', cluster.token);
    const page = await stage.signedIn(cluster.addresses[0]);
    for (const [kind, at, target] of [['secret', 'sys/mounts', 'engines'], ['auth', 'sys/auth', 'auth']]) {
      for (const type of body.data[kind]) {
        const place = `every-${type}`;
        assert.equal((await ask(cluster.addresses[0], 'POST', `${at}/${place}`, cluster.token, { type })).status, 204, type);
        await page.reload();
        await page.getByLabel('Token', { exact: true }).fill(cluster.token);
        await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
        await page.locator('.who').waitFor();
        await open(page, `#/${target}/${place}`);
        await page.locator('details.path').first().waitFor();
        await ask(cluster.addresses[0], 'DELETE', `${at}/${place}`, cluster.token);
      }
    }
  },

  'an auth method is enabled and disabled': async (stage) => {
    const page = await stage.signedIn(stage.cluster.addresses[1]);
    await page.getByRole('link', { name: 'Auth methods' }).click();
    await page.getByRole('button', { name: 'Enable a method' }).click();
    await page.getByLabel('Kind').selectOption('approle');
    await page.getByLabel('Path').fill('robots');
    await page.getByRole('button', { name: 'Enable', exact: true }).click();
    await page.getByRole('heading', { name: 'robots/', level: 1 }).waitFor();
    await page.getByRole('button', { name: 'Disable' }).click();
    await page.getByLabel('Type robots to confirm').fill('robots');
    await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
    await page.getByText('robots/ is disabled').waitFor();
  },

  'leases are found, looked at and revoked': async (stage) => {
    const { cluster } = stage;
    const put = (path, fields) => ask(cluster.addresses[0], 'POST', path, cluster.token, fields);
    await put('sys/auth/lender', { type: 'userpass' });
    await put('auth/lender/users/ada', { password: 'analytical' });
    const login = await put('auth/lender/login/ada', { password: 'analytical' });
    const page = await stage.signedIn(cluster.addresses[1]);
    await page.getByRole('link', { name: 'Leases' }).click();
    for (const name of ['auth/', 'lender/', 'login/', 'ada/']) await page.getByRole('link', { name, exact: true }).click();
    await page.getByRole('button', { name: /^Look at/ }).first().click();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByText('Revoked.').waitFor();
    assert.equal((await ask(cluster.addresses[2], 'GET', 'auth/token/lookup-self', login.body.auth.client_token)).status, 403);
  },

  'a token is made, listed and revoked': async (stage) => {
    const { cluster } = stage;
    const page = await stage.signedIn(cluster.addresses[0]);
    await page.getByRole('link', { name: 'Tokens' }).click();
    await page.getByRole('button', { name: 'New token' }).click();
    await page.getByLabel('Policies').fill('default');
    await page.getByLabel('Name', { exact: true }).fill('courier');
    await page.getByRole('button', { name: 'Make' }).click();
    const token = await shown(page, 'token');
    assert.equal((await ask(cluster.addresses[1], 'GET', 'auth/token/lookup-self', token)).body.data.display_name, 'token-courier');
    await page.getByRole('button', { name: 'Done' }).click();
    const row = page.locator('.rows li', { hasText: 'token-courier' });
    await row.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await row.waitFor({ state: 'detached' });
    assert.equal((await ask(cluster.addresses[1], 'GET', 'auth/token/lookup-self', token)).status, 403);
  },

  'a wrapped note is handed over by a link and opens once': async (stage) => {
    const { cluster } = stage;
    const page = await stage.signedIn(cluster.addresses[0]);
    await page.getByRole('link', { name: 'Wrap a note' }).click();
    await page.getByLabel('Note', { exact: true }).fill('meet at noon');
    await page.getByRole('button', { name: 'Wrap', exact: true }).click();
    const link = await shown(page, 'link');
    const guest = await stage.page(cluster.addresses[1]);
    await guest.goto(link);
    await guest.getByRole('heading', { name: 'Open a wrapped note', level: 1 }).waitFor();
    assert.ok(!guest.url().includes('hvs.'), 'the token stays in the address');
    await guest.getByRole('button', { name: 'Look at it first' }).click();
    await guest.getByText('sys/wrapping/wrap').waitFor();
    await guest.getByRole('button', { name: 'Open', exact: true }).click();
    await guest.locator('.output', { hasText: 'meet at noon' }).waitFor();
    const late = await stage.page(cluster.addresses[2]);
    await late.goto(link);
    await late.getByRole('button', { name: 'Open', exact: true }).click();
    await late.getByRole('alert').waitFor();
  },
};
