// A notebook server behind sign-in, in a real browser: Jupyter's kernels and terminals live on WebSockets. And what such
// apps carry: gigabytes up and down, and event streams that pause.

import './support/resolve.mjs';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { context, launch, signInAs } from './support/browser.mjs';
import { certificate, example, freePort, startPortcullis, temporaryDirectory } from './support/portcullis.mjs';
import { startProvider } from './support/provider.mjs';

const GIGABYTE = 1_100_000_000;
const jupyter = process.env.JUPYTER ?? 'jupyter';
const cell = { cell_type: 'code', id: 'one', metadata: {}, execution_count: null, outputs: [], source: 'print("six times seven is", 6 * 7)' };
const kernel = { name: 'python3', display_name: 'Python 3', language: 'python' };

let browser, provider, notebook, files, proxy, origin, directory, made, page;

before(async () => {
  const port = await freePort();
  origin = (host) => `https://${host}.localhost:${port}`;
  directory = temporaryDirectory();
  certificate(directory, ['notebook.localhost', 'files.localhost']);
  [provider, notebook, files, browser] = await Promise.all([startProvider(origin('notebook')), startJupyter(), startFiles(), launch()]);
  process.env.OIDC_CLIENT_SECRET = 'a-secret-of-the-tests-only';
  proxy = await startPortcullis(directory, example('web-app.yaml', [
    ['0.0.0.0:443', `127.0.0.1:${port}`],
    ['certs/notebook.pem', 'cert.pem'],
    ['certs/notebook.key', 'key.pem'],
    ['https://notebook.example.com', origin('notebook')],
    ['https://idp.example.com/realms/corp', provider.issuer],
    ['http://127.0.0.1:8888', notebook.url],
  ], [{ name: 'files', from: origin('files'), to: files.url, allow: '"engineering" in user.groups' }]));
  made = await context(browser);
  page = await made.newPage();
  await page.goto(`${origin('notebook')}/lab/tree/one.ipynb`);
  await signInAs(page, 'ada');
  await page.waitForURL(`${origin('notebook')}/lab/tree/one.ipynb`);
});

after(async () => {
  await browser?.close();
  await proxy?.stop();
  await Promise.all([provider?.close(), notebook?.close(), files?.close()]);
  proxy?.remove();
});

async function startJupyter() {
  const root = path.join(directory, 'notebooks');
  mkdirSync(root);
  writeFileSync(path.join(root, 'one.ipynb'), JSON.stringify({ cells: [cell], metadata: { kernelspec: kernel }, nbformat: 4, nbformat_minor: 5 }));
  writeFileSync(path.join(root, 'large.bin'), '');
  truncateSync(path.join(root, 'large.bin'), GIGABYTE);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // The proxy signs people in, so Jupyter asks nobody; it listens on loopback only, and still checks every `Origin`.
  const child = spawn(jupyter, ['lab', '--no-browser', '--allow-root', `--port=${port}`, '--ip=127.0.0.1', `--ServerApp.root_dir=${root}`,
    '--IdentityProvider.token=', '--ServerApp.allow_remote_access=True', '--LabApp.news_url=None', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate'],
  { cwd: directory, stdio: 'ignore', env: { ...process.env, HOME: directory, JUPYTER_PLATFORM_DIRS: '0' } });
  const end = Date.now() + 60_000;
  while (!(await fetch(`${url}/api`).catch(() => null))?.ok) {
    assert.ok(child.exitCode === null && Date.now() < end, 'Jupyter did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, close: async () => { child.kill('SIGTERM'); if (child.exitCode === null) await once(child, 'exit'); } };
}

/** Takes uploads and counts them; sends events when it is told to. */
async function startFiles() {
  const streams = new Set();
  const server = http.createServer(async (request, response) => {
    if (request.url === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      streams.add(response);
      return;
    }
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    response.end(String(bytes));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    send: (text) => streams.forEach((stream) => stream.write(`data: ${text}\n\n`)),
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}

/** Asks with the session of the browser, outside of it. */
async function ask(host, target, options = {}) {
  const cookie = (await made.cookies(origin(host))).map(({ name, value }) => `${name}=${value}`).join('; ');
  return https.request(`${origin(host)}${target}`, { ...options, rejectUnauthorized: false, headers: { ...options.headers, cookie } });
}

test('a cell of a notebook runs, over the WebSocket to its kernel', async () => {
  // Before the kernel has answered, Jupyter takes the command and runs nothing.
  await page.getByText('(ipykernel) | Idle').waitFor({ timeout: 60_000 });
  await page.locator('[data-command="notebook:run-cell-and-select-next"]').first().click();
  await page.locator('.jp-OutputArea-output', { hasText: 'six times seven is 42' }).waitFor({ timeout: 60_000 });
});

test('a terminal answers, over a WebSocket of its own', async () => {
  const typed = await page.evaluate(async () => {
    const xsrf = /_xsrf=([^;]+)/.exec(document.cookie)[1];
    const { name } = await (await fetch('/api/terminals', { method: 'POST', headers: { 'x-xsrftoken': xsrf } })).json();
    const socket = new WebSocket(`${location.origin.replace('https', 'wss')}/terminals/websocket/${name}`);
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    return new Promise((resolve) => {
      let seen = '';
      socket.onmessage = ({ data }) => {
        const [kind, text] = JSON.parse(data);
        if (kind === 'stdout') seen += text;
        if (seen.includes('forty-2')) resolve(seen);
      };
      socket.send(JSON.stringify(['stdin', 'echo forty-$((1+1))\r']));
    });
  });
  assert.match(typed, /forty-2/);
});

test('a page of another origin opens no socket to a kernel', async () => {
  const request = await ask('notebook', '/api/events/subscribe', {
    headers: {
      connection: 'upgrade', upgrade: 'websocket', origin: 'https://evil.example.com',
      'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
  });
  request.end();
  const [response] = await once(request, 'response');
  response.resume();
  assert.equal(response.statusCode, 403);
});

test('downloads and uploads of more than a gigabyte arrive whole, and nothing of them stays in memory', async () => {
  await page.goto(`${origin('files')}/`); // A session of this host.
  // Jupyter hands files to its own pages only.
  const down = await ask('notebook', '/files/large.bin', { headers: { referer: `${origin('notebook')}/lab` } });
  down.end();
  const [response] = await once(down, 'response');
  assert.equal(response.statusCode, 200);
  let received = 0;
  for await (const chunk of response) received += chunk.length;
  assert.equal(received, GIGABYTE);

  const up = await ask('files', '/', { method: 'POST' });
  const answered = once(up, 'response');
  const block = Buffer.alloc(1_000_000);
  await pipeline(Readable.from((function* () { for (let sent = 0; sent < GIGABYTE; sent += block.length) yield block; })()), up);
  const [taken] = await answered;
  assert.equal(Number(await taken.toArray().then((parts) => Buffer.concat(parts))), GIGABYTE);
  assert.ok(proxy.peak() < 150_000_000, `${proxy.peak()} bytes were resident`);
});

test('events arrive one by one while their stream stays open', async () => {
  await page.goto(`${origin('files')}/`);
  await page.evaluate(() => {
    window.events = [];
    new EventSource('/events').onmessage = ({ data }) => window.events.push(data);
  });
  await page.waitForFunction(() => window.events.length === 1);
  files.send('second');
  await page.waitForFunction(() => window.events.join() === 'first,second');
});
