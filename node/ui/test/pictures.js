// Pictures of all pages at two widths, and the wide ones in dark colours too.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from './cluster.js';
import { shownPages } from './frame.js';

const WIDTHS = [[1280, 800], [390, 844]];

/** Something to see. */
async function furnish({ cluster }) {
  const put = (path, fields) => ask(cluster.addresses[0], 'POST', path, cluster.token, fields);
  for (const name of ['billing/stripe', 'billing/ledger', 'web/session', 'web/oauth', 'ci/registry', 'ci/signing']) {
    await put(`secret/data/${name}`, { data: { username: 'app', password: 'correct horse', url: 'https://db.example' } });
  }
  await put('secret/data/web/oauth', { data: { username: 'app', password: 'battery staple', scope: 'openid' } });
  await put('sys/policies/acl/team-web', { policy: '# What the web team may do.\npath "secret/data/web/*" {\n  capabilities = ["create", "read", "update"]\n}\n' });
  await put('sys/auth/userpass', { type: 'userpass' });
  await put('auth/userpass/users/ada', { password: 'analytical' });
  for (let at = 0; at < 3; at += 1) await put('auth/userpass/login/ada', { password: 'analytical' });
}

export async function pictures(stage, folder) {
  mkdirSync(folder, { recursive: true });
  await furnish(stage);
  for (const [width, height] of WIDTHS) {
    for (const colorScheme of width > 1_000 ? ['light', 'dark'] : ['light']) {
      const page = await stage.page(stage.cluster.addresses[0], { colorScheme, viewport: { width, height } });
      const shoot = async (name) => {
        await page.locator('main h1').waitFor();
        await page.waitForFunction(() => !document.querySelector('.skeleton'));
        await page.mouse.move(0, height - 1);
        await page.screenshot({ path: join(folder, `${name}-${width}${colorScheme === 'dark' ? '-dark' : ''}.png`) });
      };
      await shoot('login');
      await page.getByLabel('Token', { exact: true }).fill(stage.cluster.token);
      await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor();
      const more = { folder: '#/secrets/list/secret/web', secret: '#/secrets/show/secret/web/oauth' };
      const targets = Object.fromEntries((await shownPages(page)).map((target) => [target.slice(2), target]));
      for (const [name, target] of Object.entries({ ...targets, ...more })) {
        await page.evaluate((hash) => (location.hash = hash), target);
        await page.waitForTimeout(700);
        await shoot(name);
      }
    }
  }
}
