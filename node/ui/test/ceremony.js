// Ceremonies: a cluster that begins, and a sealed node that gets its key back.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ask, until } from './cluster.js';

export const ceremonies = {
  'a fresh node is initialised, each share is shown once, and the shares unseal it': async (stage) => {
    const page = await stage.page(stage.fresh.address, { acceptDownloads: true });
    await page.getByRole('link', { name: 'Ceremony' }).click();
    await page.getByLabel('Shares').fill('3');
    await page.getByLabel('Threshold').fill('2');
    await page.getByRole('button', { name: 'Initialise' }).click();
    const taken = [];
    for (const name of ['share 1', 'share 2', 'share 3', 'root token']) {
      const saved = page.waitForEvent('download');
      await page.getByRole('button', { name: `Download ${name}` }).click();
      taken.push(readFileSync(await (await saved).path(), 'utf8').trim());
      await page.evaluate(() => (location.hash = '#/unwrap'));
      await page.getByRole('heading', { name: 'Open a wrapped note' }).waitFor();
      await page.evaluate(() => (location.hash = '#/ceremony'));
      await page.getByLabel(`The ${name} is in safe hands`).check();
      assert.ok(!(await page.locator('main').textContent()).includes(taken.at(-1)), `${name} is shown without being asked for`);
      await page.getByRole('button', { name: name === 'root token' ? 'Done' : 'Next' }).click();
    }
    assert.equal(new Set(taken).size, 4);
    for (const share of taken.slice(0, 2)) {
      await page.getByLabel('Share', { exact: true }).fill(share);
      await page.getByRole('button', { name: 'Enter', exact: true }).click();
      await page.getByText(share === taken[0] ? '1 of 2' : 'Every node that answers is unsealed').first().waitFor();
    }
    assert.equal((await ask(stage.fresh.address, 'GET', 'auth/token/lookup-self', taken[3])).status, 200);
    for (const secret of taken) assert.ok(!(await page.content()).includes(secret));
  },

  'a sealed node gets its key from another one, once its fingerprint is confirmed': async (stage) => {
    const { cluster } = stage;
    const sealed = await cluster.follower();
    await ask(sealed, 'POST', 'sys/seal', cluster.token);
    await until('it is sealed', async () => (await ask(sealed, 'GET', 'sys/seal-status')).body.sealed);
    const page = await stage.page(cluster.addresses.find((address) => address !== sealed));
    await page.getByRole('link', { name: 'Ceremony' }).click();
    const card = page.locator('.node', { hasText: sealed });
    const own = (await ask(sealed, 'GET', 'sys/unseal/node')).body.fingerprint;
    await card.getByText(own).waitFor();
    await page.getByLabel('Share', { exact: true }).fill(cluster.share(1));
    await page.getByRole('button', { name: 'Enter', exact: true }).click();
    await page.getByText('Confirm the nodes that may receive the key first').waitFor();
    await card.getByRole('checkbox').check();
    for (const number of [1, 2, 3]) {
      await page.getByLabel('Share', { exact: true }).fill(cluster.share(number));
      await page.getByRole('button', { name: 'Enter', exact: true }).click();
      if (number < 3) await page.getByText(`${number} of 3`).first().waitFor();
    }
    await page.getByText('Every node that answers is unsealed').waitFor();
    await until('it is unsealed', async () => (await ask(sealed, 'GET', 'sys/seal-status')).body.sealed === false);
  },
};
