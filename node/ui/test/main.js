// Drives the interface in a real browser on three real nodes, through changes of leader.
//
//   node test/main.js BINARY [--pictures FOLDER] [--only WORD]
//
// Prints a line for each behaviour and exits with 1 if any failed.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { Cluster, FreshNode } from './cluster.js';
import { ceremonies } from './ceremony.js';
import { basics, faults } from './frame.js';
import { secrets } from './secrets.js';
import { pages } from './pages.js';
import { pictures } from './pictures.js';

const [binary, ...flags] = process.argv.slice(2);
const flag = (name) => (flags.includes(name) ? flags[flags.indexOf(name) + 1] : undefined);
const port = Number(process.env.UI_PORT ?? 8500);
const browserPath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** What each test gets: pages of browsers, the cluster, a fresh node. */
class Stage {
  constructor(browser, cluster, fresh) {
    Object.assign(this, { browser, cluster, fresh, axe, complaints: [], contexts: [] });
  }
  /** A page of a browser of its own. What the browser complains about is a failure: the policy of contents is one. */
  async page(address, options = {}) {
    const context = await this.browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, ...options });
    this.contexts.push(context);
    context.setDefaultTimeout(45_000);
    const page = await context.newPage();
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy|Trusted Type|TrustedHTML/i.test(message.text())) this.complaints.push(message.text());
    });
    await page.goto(`${address}/ui/`);
    return page;
  }
  async signedIn(address, options) {
    const page = await this.page(address, options);
    await page.getByLabel('Token', { exact: true }).fill(this.cluster.token);
    await page.locator('main').getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor();
    return page;
  }
  async closePages() {
    await Promise.all(this.contexts.splice(0).map((context) => context.close()));
    const complaints = this.complaints.splice(0);
    if (complaints.length > 0) throw new Error(`the browser complains: ${complaints.join(' | ')}`);
  }
}

/** Stops what was started, whatever happens. */
async function run() {
  const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  const cluster = new Cluster(resolve(binary), port);
  const fresh = new FreshNode(resolve(binary), port + 40);
  let failed = 0;
  try {
    await Promise.all([cluster.ready(), fresh.ready()]);
    const stage = new Stage(browser, cluster, fresh);
    const tests = { ...basics, ...ceremonies, ...secrets, ...pages, ...faults };
    const wanted = flag('--pictures') ? { 'pictures of all pages': (given) => pictures(given, flag('--pictures')) } : tests;
    const only = flag('--only') ?? '';
    const chosen = Object.entries(wanted).filter(([name]) => name.includes(only));
    if (chosen.length === 0) throw new Error(`no test is called ${only}`);
    for (const [name, test] of chosen) failed += await tried(stage, name, test);
    console.log(`${chosen.length - failed} passed, ${failed} failed`);
  } finally {
    await Promise.allSettled([browser.close(), cluster.stop(), fresh.stop()]);
  }
  return failed;
}

async function tried(stage, name, test) {
  const started = Date.now();
  let reason = null;
  try {
    await test(stage);
  } catch (error) {
    reason = error;
  }
  await stage.closePages().catch((error) => (reason ??= error));
  console.log(`${reason ? 'FAILED' : 'ok'}  ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  if (reason) console.log(String(reason.stack ?? reason).split('\n').slice(0, 12).join('\n'));
  return reason ? 1 : 0;
}

process.exit((await run()) > 0 ? 1 : 0);
