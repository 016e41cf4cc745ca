// Sessions that are refreshed at a certified provider, whose ID tokens live for seconds and whose refresh tokens are good once.

import './support/resolve.mjs';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { startApp } from './support/app.mjs';
import { context, launch, signInAs } from './support/browser.mjs';
import { certificate, freePort, startPortcullis, temporaryDirectory } from './support/portcullis.mjs';
import { startProvider, users } from './support/provider.mjs';

const LIFE = 4;
let browser, provider, app, proxy, origin, directory, configuration, made, lines;

before(async () => {
  const port = await freePort();
  origin = (host) => `https://${host}.localhost:${port}`;
  directory = temporaryDirectory();
  certificate(directory, ['one.localhost', 'auth.localhost']);
  const short = { ttl: { IdToken: LIFE }, rotateRefreshToken: true };
  [provider, app, browser] = await Promise.all([startProvider(origin('auth'), short), startApp('one'), launch()]);
  configuration = {
    listeners: [{ address: `127.0.0.1:${port}`, tls: { certificates: [{ cert_file: 'cert.pem', key_file: 'key.pem' }] } }],
    authenticate: {
      url: origin('auth'),
      providers: [{
        id: 'tests', issuer: provider.issuer, client_id: 'portcullis', client_secret: 'a-secret-of-the-tests-only',
        extra_params: { prompt: 'consent' },
      }],
      session: { store: 'file:sessions.db' },
    },
    routes: [{ name: 'one', from: origin('one'), to: app.url, allow: '"engineering" in user.groups' }],
  };
  proxy = await startPortcullis(directory, configuration);
  made = await context(browser);
  const page = await made.newPage();
  await page.goto(`${origin('one')}/`);
  await signInAs(page, 'ada');
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.waitForURL(`${origin('one')}/`);
});

after(async () => {
  await browser?.close();
  await proxy?.stop();
  await Promise.all([provider?.close(), app?.close()]);
  proxy?.remove();
});

const ask = async () => (await made.request.get(`${origin('one')}/json`, { headers: { accept: 'application/json' }, maxRedirects: 0 })).status();

/** Asks a few times a second until the answer has this status; every other must be among those that may come first. */
async function until(status, before) {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const found = await ask();
    if (found === status) return;
    assert.ok(before.includes(found), `${found} before ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`never ${status}\n${proxy.output()}`);
}

/** Changes what the provider says of the user, and back, until both have taken effect. */
async function followsTheProvider() {
  users.ada.groups = ['sales'];
  await until(403, [200]);
  users.ada.groups = ['engineering'];
  await until(200, [403]);
}

test('claims follow the provider, by one refresh token after the other', async () => {
  const given = provider.state.refreshTokens.length;
  assert.ok(given > 0, 'a sign-in with consent brings a refresh token');
  await followsTheProvider();
  await followsTheProvider();
  assert.ok(provider.state.refreshTokens.length >= given + 4);
  assert.equal(new Set(provider.state.refreshTokens).size, provider.state.refreshTokens.length);
});

test('a WebSocket that makes no request is closed when its user is no longer allowed', async () => {
  const cookie = (await made.cookies(origin('one'))).map(({ name, value }) => `${name}=${value}`).join('; ');
  const socket = new WebSocket(origin('one').replace('https', 'wss'), { headers: { cookie, origin: origin('one') }, rejectUnauthorized: false });
  const closed = new Promise((resolve) => socket.on('close', resolve));
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  users.ada.groups = ['sales'];
  assert.equal(await closed, 1008);
  users.ada.groups = ['engineering'];
  await until(200, [403]);
});

test('a provider that is away changes nothing until it is back', async () => {
  provider.state.down = true;
  users.ada.groups = ['sales'];
  for (const end = Date.now() + 2 * LIFE * 1000; Date.now() < end;) {
    assert.equal(await ask(), 200);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  provider.state.down = false;
  await until(403, [200]);
  users.ada.groups = ['engineering'];
  await until(200, [403]);
});

test('a restart loses neither the session nor what it is refreshed with', async () => {
  await proxy.stop();
  // Read before it is closed and compressed.
  lines = proxy.audit();
  proxy = await startPortcullis(directory, configuration);
  assert.equal(await ask(), 200);
  await followsTheProvider();
});

test('who has left is signed out, and all of it is written down but for tokens', async () => {
  const { ada } = users;
  delete users.ada;
  await until(401, [200]);
  users.ada = ada;
  await proxy.stop();
  lines.push(...proxy.audit());
  const failed = lines.filter((line) => line.kind === 'refresh_failed').map(({ reason, details }) => [reason, details.session]);
  assert.deepEqual(failed, [['provider-unavailable', 'kept'], ['grant-ended', 'ended']]);
  assert.ok(lines.some((line) => line.kind === 'stream_closed' && line.reason === 'no-policy-matched'));
  const written = JSON.stringify(lines) + proxy.output();
  for (const token of provider.state.refreshTokens) assert.ok(!written.includes(token));
});
