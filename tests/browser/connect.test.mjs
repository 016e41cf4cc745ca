// `portcullis connect`, signed in by a person with a real browser.

import './support/resolve.mjs';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startApp } from './support/app.mjs';
import { context, launch, signInAs } from './support/browser.mjs';
import { binary, certificate, freePort, startPortcullis, temporaryDirectory } from './support/portcullis.mjs';
import { startProvider } from './support/provider.mjs';

let browser, provider, app, echo, proxy, port, directory;
const programs = [];

before(async () => {
  port = await freePort();
  directory = temporaryDirectory();
  const origin = (host) => `https://${host}.localhost:${port}`;
  certificate(directory, ['ssh', 'app', 'auth'].map((host) => `${host}.localhost`));
  echo = net.createServer((socket) => { socket.on('error', () => {}); socket.pipe(socket); });
  await new Promise((resolve) => echo.listen(0, '127.0.0.1', resolve));
  [provider, app, browser] = await Promise.all([startProvider(origin('auth')), startApp('app'), launch()]);
  proxy = await startPortcullis(directory, {
    listeners: [{ address: `127.0.0.1:${port}`, tls: { certificates: [{ cert_file: 'cert.pem', key_file: 'key.pem' }] } }],
    authenticate: {
      url: origin('auth'),
      providers: [{ id: 'tests', issuer: provider.issuer, client_id: 'portcullis', client_secret: 'a-secret-of-the-tests-only' }],
      session: { store: 'memory' },
    },
    routes: [
      { name: 'app', from: origin('app'), to: app.url, allow: '"engineering" in user.groups' },
      { name: 'ssh', from: 'tcp+https://ssh.localhost:22', to: `tcp://127.0.0.1:${echo.address().port}`, allow: '"engineering" in user.groups' },
    ],
  });
});

after(async () => {
  for (const program of programs) program.kill();
  await browser?.close();
  await proxy?.stop();
  await Promise.all([provider?.close(), app?.close()]);
  echo?.close();
  proxy?.remove();
});

/** Starts `portcullis connect`; its browser is a script that keeps the address which it is given. */
function connect(name, ...more) {
  const tools = path.join(directory, name);
  mkdirSync(tools);
  const opener = path.join(tools, 'xdg-open');
  writeFileSync(opener, `#!/bin/sh\nprintf %s "$1" > ${tools}/opened.part && mv ${tools}/opened.part ${tools}/opened\n`);
  chmodSync(opener, 0o755);
  const program = spawn(binary, ['connect', 'ssh.localhost:22', '--proxy', `127.0.0.1:${port}`, '--ca-file', 'cert.pem', ...more], {
    cwd: directory, env: { PATH: `${tools}:${process.env.PATH}`, XDG_STATE_HOME: path.join(tools, 'state') },
  });
  programs.push(program);
  let [said, told] = ['', ''];
  program.stdout.on('data', (data) => { said += data; });
  program.stderr.on('data', (data) => { told += data; });
  const ended = new Promise((resolve) => program.on('exit', resolve));
  return { program, tools, ended, said: () => said, told: () => told };
}

async function until(condition, what) {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = condition();
    if (found) return found;
    assert.ok(Date.now() < end, what());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const opened = ({ tools, told }) => until(() => readdirSync(tools).includes('opened') && readFileSync(path.join(tools, 'opened'), 'utf8'), told);

test('a person signs a program in with one click, and it is carried to the service', async () => {
  const program = connect('one');
  const url = await opened(program);
  assert.ok(program.told().includes(url), 'the address is not printed');
  const made = await context(browser);
  const page = await made.newPage();
  await page.goto(url);
  await signInAs(page, 'ada');
  await page.waitForURL(`https://ssh.localhost:${port}/.portcullis/connect?**`);
  assert.equal(await page.locator('h1').textContent(), 'Sign a program in as you?');
  const text = await page.locator('main').textContent();
  for (const part of ['Ada Lovelace', 'ssh.localhost', new URL(url).searchParams.get('redirect_uri')]) {
    assert.ok(text.includes(part), `${part} is missing: ${text}`);
  }
  if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, 'connect.png') });
  await page.getByRole('button', { name: 'Sign the program in' }).click();
  await page.waitForURL('http://127.0.0.1:*/**');
  assert.equal(await page.locator('h1').textContent(), 'Go back to the program');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, 'connected.png') });

  program.program.stdin.end('over there');
  assert.equal(await program.ended, 0, program.told());
  assert.equal(program.said(), 'over there');
  assert.match(program.told(), /signed in as Ada Lovelace\n$/);
  const kept = path.join(program.tools, `state/portcullis/ssh.localhost.${port}`);
  assert.equal(statSync(kept).mode & 0o777, 0o600);

  await page.goto(`https://app.localhost:${port}/.portcullis/`);
  assert.equal(await page.getByText('a program').count(), 1, 'the session is not listed as that of a program');
  await made.close();
});

test('another site cannot confirm in the name of the person', async () => {
  const program = connect('two');
  const url = await opened(program);
  const made = await context(browser);
  const page = await made.newPage();
  await page.goto(`https://app.localhost:${port}/`);
  await signInAs(page, 'ada');
  await page.waitForURL(`https://app.localhost:${port}/`);
  await page.goto(url);
  assert.equal(await page.locator('h1').textContent(), 'Sign a program in as you?');

  await page.goto(`https://app.localhost:${port}/`);
  await page.evaluate((action) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = action;
    document.body.append(form);
    form.submit();
  }, url);
  await page.waitForURL(url);
  assert.ok((await page.locator('main').textContent()).includes('cross-site'));
  assert.equal(program.program.exitCode, null, program.told());
  await made.close();
});
