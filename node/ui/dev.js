// Serves dist/ and hands on `/v1/` to a node, so that the interface is tried without building the server.
//
//   node dev.js PORT https://127.0.0.1:8200
import { createServer, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), 'dist');
const [port, target] = process.argv.slice(2);
const TYPES = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', html: 'text/html; charset=utf-8' };
// As the server sends it.
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

createServer((asked, reply) => {
  if (asked.url.startsWith('/v1/')) {
    const to = new URL(asked.url, target);
    const request = to.protocol === 'https:' ? tlsRequest : plainRequest;
    const handed = request(to, { method: asked.method, headers: { ...asked.headers, host: to.host }, rejectUnauthorized: false }, (answer) => {
      reply.writeHead(answer.statusCode, answer.headers);
      answer.pipe(reply);
    });
    handed.on('error', () => reply.destroy());
    asked.pipe(handed);
    return;
  }
  const name = asked.url.split('?')[0].split('/').pop();
  const file = ['app.js', 'app.css', 'icon.svg'].includes(name) ? name : 'index.html';
  const headers = { 'content-type': TYPES[file.split('.').pop()], 'content-encoding': 'gzip', 'content-security-policy': POLICY, 'cache-control': 'no-store' };
  reply.writeHead(200, headers);
  reply.end(readFileSync(join(dist, `${file}.gz`)));
}).listen(Number(port), '127.0.0.1');
