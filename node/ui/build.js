// Makes dist/ out of src/: one script, one style sheet, an icon and the page that names them, each packed by gzip.
//
//   node build.js          writes dist/
//   node build.js --check  fails if dist/ is not what src/ makes, or is too large
//
// The name of the build is a hash of all that is in it, and part of the files' addresses, so browsers may keep them for good.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
/** What a browser loads at most, in bytes as they are sent. */
const MAX_BYTES = 250_000;

async function files() {
  const made = await build({
    absWorkingDir: here,
    entryPoints: [{ in: 'src/main.tsx', out: 'app' }, { in: 'src/style.css', out: 'app' }],
    outdir: 'dist',
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    charset: 'utf8',
    write: false,
  });
  const script = made.outputFiles.find((file) => file.path.endsWith('.js')).contents;
  const style = made.outputFiles.find((file) => file.path.endsWith('.css')).contents;
  const icon = readFileSync(join(here, 'src/icon.svg'));
  const page = readFileSync(join(here, 'src/index.html'), 'utf8');
  const hash = createHash('sha256');
  for (const part of [script, style, icon, page]) hash.update(part);
  const name = hash.digest('hex').slice(0, 16);
  return { name, packed: { 'app.js': script, 'app.css': style, 'icon.svg': icon, 'index.html': page.replaceAll('BUILD', name) } };
}

const { name, packed } = await files();
const sizes = Object.values(packed).map((bytes) => gzipSync(bytes, { level: 9 }).length);
const total = sizes.reduce((sum, size) => sum + size, 0);
if (total > MAX_BYTES) throw new Error(`the interface is ${total} bytes packed, at most ${MAX_BYTES}`);
if (process.argv.includes('--check')) {
  // What gzip makes differs between its versions, so that what it was made of is compared.
  const stale = Object.entries(packed).filter(([file, bytes]) => {
    return !gunzipSync(readFileSync(join(dist, `${file}.gz`))).equals(Buffer.from(bytes));
  });
  if (stale.length > 0 || readFileSync(join(dist, 'build'), 'utf8') !== name) {
    console.error('node/ui/dist is not what node/ui/src makes: run `npm ci && npm run build` in node/ui and commit it');
    process.exit(1);
  }
} else {
  mkdirSync(dist, { recursive: true });
  for (const [file, bytes] of Object.entries(packed)) writeFileSync(join(dist, `${file}.gz`), gzipSync(bytes, { level: 9 }));
  writeFileSync(join(dist, 'build'), name);
}
console.log(`${name}: ${total} bytes packed`);
