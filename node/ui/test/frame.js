// What holds on every page: headers, sessions, colours, keyboard, and that axe finds nothing serious.
import assert from 'node:assert/strict';
import { ask, processOf, until } from './cluster.js';

/** Pages that the navigation leads to. */
export async function shownPages(page) {
  return page.locator('.navigation a').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
}

/** Serious faults that axe finds. */
export async function audit(page, axe) {
  await page.addScriptTag({ path: axe }).catch(() => {});
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate((await import('node:fs')).readFileSync(axe, 'utf8'));
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.filter((fault) => ['serious', 'critical'].includes(fault.impact))
    .map((fault) => `${fault.id}: ${fault.nodes.map((node) => node.html.slice(0, 140)).join(' ; ')}`);
}

export const basics = {
  'the page comes with a strict policy and is not kept': async ({ cluster, browser }) => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const reply = await page.goto(`${cluster.addresses[0]}/`);
    assert.equal(new URL(page.url()).pathname, '/ui/');
    const policy = reply.headers()['content-security-policy'];
    assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(reply.headers()['cache-control'], 'no-cache');
    await context.close();
  },

  'a wrong token is refused, and a right one is kept in memory only': async (stage) => {
    const page = await stage.page(stage.cluster.addresses[0]);
    await page.getByLabel('Token', { exact: true }).fill('hvs.wrong');
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').filter({ hasText: 'permission denied' }).waitFor();
    await page.getByLabel('Token', { exact: true }).fill(stage.cluster.token);
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor();
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
    assert.ok(!kept.includes(stage.cluster.token), kept);
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in', level: 1 }).waitFor();
  },

  'each call says that it comes from the interface': async (stage) => {
    const page = await stage.page(stage.cluster.addresses[0]);
    const silent = [];
    page.on('request', (asked) => {
      if (asked.url().includes('/v1/') && asked.headers()['x-vault-request'] !== 'true') silent.push(asked.url());
      if (new URL(asked.url()).origin !== stage.cluster.addresses[0]) silent.push(asked.url());
    });
    await page.getByLabel('Token', { exact: true }).fill(stage.cluster.token);
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    for (const target of await shownPages(page)) {
      await page.evaluate((hash) => (location.hash = hash), target);
      await page.locator('main h1').waitFor();
    }
    assert.deepEqual(silent, []);
  },

  'a user with a password signs in': async (stage) => {
    const { cluster } = stage;
    await ask(cluster.addresses[0], 'POST', 'sys/auth/userpass', cluster.token, { type: 'userpass' });
    await ask(cluster.addresses[0], 'POST', 'auth/userpass/users/ada', cluster.token, { password: 'analytical', token_policies: 'default' });
    const page = await stage.page(cluster.addresses[1]);
    await page.evaluate(() => (location.hash = '#/secrets/list/secret/private'));
    await page.getByLabel('Method').selectOption('userpass');
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password', { exact: true }).fill('analytical');
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.who summary', { hasText: 'ada' }).click();
    await page.getByRole('button', { name: 'Sign out and revoke' }).click();
    await page.getByText('the token was revoked').waitFor();
    assert.ok(!page.url().includes('private'), 'the next person sees where this one was');
  },

  'a name of markup is shown as text': async (stage) => {
    const { cluster } = stage;
    const name = '<img src=x onerror=window.hurt=1>';
    await ask(cluster.addresses[0], 'POST', `secret/data/${encodeURIComponent(name)}`, cluster.token, { data: { [name]: name } });
    const page = await stage.signedIn(cluster.addresses[0]);
    await page.evaluate((hash) => (location.hash = hash), '#/secrets/list/secret');
    await page.getByRole('link', { name }).click();
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.locator('.value pre', { hasText: name }).waitFor();
    assert.equal(await page.evaluate(() => window.hurt), undefined);
    await ask(cluster.addresses[0], 'DELETE', `secret/metadata/${encodeURIComponent(name)}`, cluster.token);
  },
};

export const faults = {
  'axe finds nothing serious on any page, light or dark, wide or narrow': async (stage) => {
    const found = [];
    for (const [colorScheme, width] of [['light', 1280], ['dark', 1280], ['light', 390]]) {
      const viewport = { width, height: 844 };
      const page = await stage.page(stage.cluster.addresses[0], { colorScheme, viewport });
      await page.getByRole('heading', { name: 'Sign in', level: 1 }).waitFor();
      found.push(...(await audit(page, stage.axe)).map((fault) => `login ${colorScheme} ${width}: ${fault}`));
      await page.getByLabel('Token', { exact: true }).fill(stage.cluster.token);
      await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor();
      const targets = [...await shownPages(page), '#/secrets/list/secret', '#/secrets/show/secret/axe', '#/secrets/new/secret'];
      await ask(stage.cluster.addresses[0], 'POST', 'secret/data/axe', stage.cluster.token, { data: { one: '1', two: '2' } });
      for (const target of targets) {
        await page.evaluate((hash) => (location.hash = hash), target);
        await page.locator('main h1').waitFor();
        await page.waitForFunction(() => !document.querySelector('.skeleton'));
        found.push(...(await audit(page, stage.axe)).map((fault) => `${target} ${colorScheme} ${width}: ${fault}`));
        const isWide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
        if (isWide) found.push(`${target} ${width}: the page is wider than the window`);
      }
    }
    assert.deepEqual(found, []);
  },

  'the keyboard alone opens a secret': async (stage) => {
    await ask(stage.cluster.addresses[0], 'POST', 'secret/data/axe', stage.cluster.token, { data: { one: '1' } });
    const page = await stage.signedIn(stage.cluster.addresses[0]);
    const reach = async (wanted) => {
      for (let step = 0; step < 60; step += 1) {
        await page.keyboard.press('Tab');
        const text = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent);
        if (text?.trim() === wanted) return page.keyboard.press('Enter');
      }
      throw new Error(`Tab never comes to ${wanted}`);
    };
    await reach('secret/');
    await page.getByRole('link', { name: 'axe', exact: true }).waitFor();
    await reach('axe');
    await page.getByRole('heading', { name: 'axe', level: 1 }).waitFor();
    await reach('Show one');
    await page.locator('.value pre', { hasText: '1' }).waitFor();
  },

  'a form goes on through the death of the leader': async (stage) => {
    const { cluster } = stage;
    const leader = await until('there is a leader', () => cluster.leader());
    const page = await stage.signedIn(await cluster.follower());
    await page.evaluate((hash) => (location.hash = hash), '#/secrets/new/secret');
    await page.getByLabel('Path').fill('failover');
    await page.getByLabel('Name 1', { exact: true }).fill('kept');
    await page.getByLabel('Value 1', { exact: true }).fill('through it');
    process.kill(processOf(cluster, leader), 'SIGKILL');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'failover', level: 1 }).waitFor({ timeout: 60_000 });
    const left = cluster.addresses.find((address) => address !== leader);
    const read = await until('it is read', async () => {
      const reply = await ask(left, 'GET', 'secret/data/failover', cluster.token);
      return reply.status === 200 && reply.body.data;
    });
    assert.deepEqual([read.data, read.metadata.version], [{ kept: 'through it' }, 1]);
  },
};
