// Secrets: editing, versions, conflicts, and folders with many names.
import assert from 'node:assert/strict';
import { ask } from './cluster.js';

const open = (page, hash) => page.evaluate((target) => (location.hash = target), hash);

export const secrets = {
  'a secret is written, shown, changed, compared, deleted and brought back': async (stage) => {
    const { cluster } = stage;
    const page = await stage.signedIn(cluster.addresses[1]);
    await page.getByRole('link', { name: 'secret/' }).click();
    await page.getByRole('button', { name: 'New secret' }).click();
    await page.getByLabel('Path').fill('team/app');
    await page.getByLabel('Name 1', { exact: true }).fill('password');
    await page.getByLabel('Value 1', { exact: true }).fill('first');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'app', level: 1 }).waitFor();
    assert.ok(!(await page.locator('main').textContent()).includes('first'), 'the value is not masked');
    await page.getByRole('button', { name: 'Show password' }).click();
    await page.locator('.value pre', { hasText: 'first' }).waitFor();

    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: 'JSON' }).click();
    await page.getByLabel('JSON').fill('{"password": "second", "port": 5432}');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Version 2').first().waitFor();
    const read = await ask(cluster.addresses[0], 'GET', 'secret/data/team/app', cluster.token);
    assert.deepEqual(read.body.data.data, { password: 'second', port: 5432 });

    await page.getByRole('button', { name: 'Versions' }).click();
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByRole('button', { name: 'Show values' }).click();
    await page.locator('.diff .removed', { hasText: 'first' }).waitFor();
    await page.locator('.diff .added', { hasText: '5432' }).waitFor();
    await page.locator('.rows li', { hasText: 'Version 2' }).getByRole('button', { name: 'Delete' }).click();
    await page.locator('.rows li', { hasText: 'Version 2' }).getByRole('button', { name: 'Undelete' }).click();
    await page.locator('.rows li', { hasText: 'Version 2' }).getByText('kept').waitFor();

    await page.getByRole('button', { name: 'Metadata' }).click();
    await page.getByLabel('Notes').fill('owner = team one');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The metadata is saved.').waitFor();
    const kept = await ask(cluster.addresses[0], 'GET', 'secret/metadata/team/app', cluster.token);
    assert.deepEqual(kept.body.data.custom_metadata, { owner: 'team one' });
  },

  'who writes over a newer version is shown what it holds': async (stage) => {
    const { cluster } = stage;
    await ask(cluster.addresses[0], 'POST', 'secret/data/both', cluster.token, { data: { mine: 'a' } });
    const page = await stage.signedIn(cluster.addresses[2]);
    await open(page, '#/secrets/show/secret/both');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: 'Show and edit value 1' }).click();
    await page.getByLabel('Value 1', { exact: true }).fill('b');
    await ask(cluster.addresses[0], 'POST', 'secret/data/both', cluster.token, { data: { mine: 'theirs' } });
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Somebody wrote version 2 meanwhile').waitFor();
    await page.getByRole('button', { name: 'Show values' }).click();
    await page.locator('.diff .removed', { hasText: 'theirs' }).waitFor();
    const before = await ask(cluster.addresses[0], 'GET', 'secret/data/both', cluster.token);
    assert.equal(before.body.data.data.mine, 'theirs');
    await page.getByRole('button', { name: 'Keep mine' }).click();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Version 3').first().waitFor();
  },

  'a folder of hundreds of names comes in pages': async (stage) => {
    const { cluster } = stage;
    const names = Array.from({ length: 420 }, (_, at) => `many/n${String(at).padStart(4, '0')}`);
    for (let at = 0; at < names.length; at += 50) {
      await Promise.all(names.slice(at, at + 50).map((name) => ask(cluster.addresses[0], 'POST', `secret/data/${name}`, cluster.token, { data: { a: 'b' } })));
    }
    const page = await stage.signedIn(cluster.addresses[0]);
    await open(page, '#/secrets/list/secret/many');
    await page.getByText('200 names loaded, there are more').waitFor();
    for (const count of [400, 420]) {
      await page.getByRole('button', { name: 'Load 200 more' }).click();
      await page.getByText(`${count} names`).waitFor();
    }
    await page.getByLabel('Filter, or a path to open').fill('n0419');
    await page.getByRole('link', { name: 'n0419' }).click();
    await page.getByRole('heading', { name: 'n0419', level: 1 }).waitFor();
  },

  'secrets without versions are edited too': async (stage) => {
    const { cluster } = stage;
    await ask(cluster.addresses[0], 'POST', 'sys/mounts/plain', cluster.token, { type: 'kv', options: { version: '1' } });
    await ask(cluster.addresses[0], 'POST', 'plain/app', cluster.token, { key: 'one' });
    const page = await stage.signedIn(cluster.addresses[1]);
    await open(page, '#/secrets/show/plain/app');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: 'Show and edit value 1' }).click();
    await page.getByLabel('Value 1', { exact: true }).fill('two');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
    assert.equal((await ask(cluster.addresses[0], 'GET', 'plain/app', cluster.token)).body.data.key, 'two');
  },
};
