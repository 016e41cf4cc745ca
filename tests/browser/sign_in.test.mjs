// Sign-in in a real browser against a certified provider: two apps, a separate sign-in host, one port.

import './support/resolve.mjs';
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { startApp } from './support/app.mjs';
import { context, launch, signInAs } from './support/browser.mjs';
import { certificate, freePort, startPortcullis, temporaryDirectory } from './support/portcullis.mjs';
import { startProvider } from './support/provider.mjs';

const secret = 'a-secret-of-the-tests-only';
let browser, provider, one, two, proxy, origin;

before(async () => {
  const port = await freePort();
  origin = (host) => `https://${host}.localhost:${port}`;
  const directory = temporaryDirectory();
  certificate(directory, ['one', 'two', 'auth', 'sre', 'open', 'vault', 'recent'].map((host) => `${host}.localhost`));
  [provider, one, two, browser] = await Promise.all([startProvider(origin('auth')), startApp('one'), startApp('two'), launch()]);
  proxy = await startPortcullis(directory, {
    listeners: [{ address: `127.0.0.1:${port}`, tls: { certificates: [{ cert_file: 'cert.pem', key_file: 'key.pem' }] } }],
    authenticate: {
      url: origin('auth'),
      providers: [{ id: 'tests', issuer: provider.issuer, client_id: 'portcullis', client_secret: secret }],
      session: { store: 'file:sessions.db' },
    },
    routes: [
      { name: 'one', from: origin('one'), to: one.url, allow: '"engineering" in user.groups' },
      { name: 'two', from: origin('two'), to: two.url, allow: '"engineering" in user.groups' },
      {
        name: 'sre', from: origin('sre'), to: one.url, allow: 'user.authenticated',
        deny: [{ name: 'sre-only', when: '!("sre" in user.groups)', message: 'Ask #sre for access.' }],
      },
      {
        name: 'vault', from: origin('vault'), to: two.url, allow: '"engineering" in user.groups && session.acr == "phr"',
        step_up: { acr_values: ['phr'] },
      },
      { name: 'recent', from: origin('recent'), to: two.url, allow: 'user.authenticated', step_up: { max_auth_age: '1h' } },
      { name: 'open', from: origin('open'), to: one.url, authenticate: 'none', allow: 'request.ip == "127.0.0.1"' },
    ],
  });
});

after(async () => {
  await browser?.close();
  await proxy?.stop();
  await Promise.all([provider?.close(), one?.close(), two?.close()]);
  proxy?.remove();
});

async function signedIn(login, host = 'one') {
  const made = await context(browser);
  const page = await made.newPage();
  await page.goto(`${origin(host)}/`);
  await signInAs(page, login);
  await page.waitForURL(`${origin(host)}/`);
  return { made, page };
}

describe('sign-in', () => {
  test('leads through the provider and back to the same URL', async () => {
    const made = await context(browser);
    const page = await made.newPage();
    await page.goto(`${origin('one')}/deep/page?q=1&r=%20x`);
    assert.ok(page.url().startsWith(provider.issuer), page.url());
    await signInAs(page, 'ada');
    await page.waitForURL(`${origin('one')}/deep/page?q=1&r=%20x`);
    assert.equal(await page.locator('#who').textContent(), 'ada@example.com');
    await made.close();
  });

  test('is asked for once, though each host has a cookie of its own', async () => {
    const { made, page } = await signedIn('ada');
    await page.goto(`${origin('two')}/`);
    await page.waitForURL(`${origin('two')}/`);
    assert.equal(await page.locator('h1').textContent(), 'two');
    const cookies = (await made.cookies()).filter((cookie) => cookie.name === '__Host-portcullis');
    const hosts = cookies.map((cookie) => cookie.domain).sort();
    assert.deepEqual(hosts, ['auth.localhost', 'one.localhost', 'two.localhost']);
    assert.equal(new Set(cookies.map((cookie) => cookie.value)).size, 3);
    for (const cookie of cookies) {
      assert.ok(cookie.secure && cookie.httpOnly && cookie.sameSite === 'Lax' && cookie.path === '/', JSON.stringify(cookie));
    }
    const stolen = cookies.find((cookie) => cookie.domain === 'one.localhost').value;
    const other = await context(browser);
    await other.addCookies([{ name: '__Host-portcullis', value: stolen, url: origin('two'), secure: true, httpOnly: true }]);
    const answer = await other.request.get(`${origin('two')}/json`, { headers: { accept: 'application/json' }, maxRedirects: 0 });
    assert.equal(answer.status(), 401);
    await other.close();
    await made.close();
  });

  test('works in several tabs at once, finished in any order', async () => {
    const made = await context(browser);
    const tabs = [];
    for (const path of ['/a', '/b', '/c']) {
      const page = await made.newPage();
      await page.goto(origin('one') + path);
      tabs.push({ page, path });
    }
    for (const { page, path } of tabs.reverse()) {
      if (page.url().startsWith(provider.issuer)) await signInAs(page, 'ada');
      await page.waitForURL(origin('one') + path);
      assert.equal(await page.locator('#who').textContent(), 'ada@example.com');
    }
    await made.close();
  });

  test('never shows the upstream a cookie, token or header of ours or of the browser', async () => {
    const { made, page } = await signedIn('ada');
    await made.addCookies([{ name: 'theme', value: 'dark', url: origin('one') }]);
    const answer = await made.request.get(`${origin('one')}/json`, { headers: {
      'x-portcullis-jwt-assertion': 'forged', 'x_portcullis_jwt_assertion': 'forged', 'x-forwarded-for': '6.6.6.6', 'x-forwarded-email': 'root@example.com',
    } });
    const { headers, claims } = await answer.json();
    assert.equal(headers.cookie, 'theme=dark');
    assert.equal(headers['x-forwarded-for'], '127.0.0.1');
    assert.equal(headers['x-forwarded-email'], undefined);
    assert.equal(headers['x_portcullis_jwt_assertion'], undefined);
    assert.equal(claims.email, 'ada@example.com');
    assert.deepEqual(claims.groups, ['engineering']);
    assert.equal(claims.exp - claims.iat, 300);
    await page.close();
    await made.close();
  });
});

describe('a route that asks for more than a sign-in', () => {
  test('takes one that is recent, as the provider says that it is', async () => {
    const { made, page } = await signedIn('ada');
    await page.goto(`${origin('recent')}/now`);
    await page.waitForURL(`${origin('recent')}/now`);
    assert.equal(await page.locator('#who').textContent(), 'ada@example.com');
    await made.close();
  });

  test('refuses what a provider gives that does not ask again, and takes a stronger sign-in', async () => {
    const { made, page } = await signedIn('ada');
    // To this provider `acr_values` are a wish: it answers at once, with the sign-in that it has.
    await page.goto(`${origin('vault')}/secret`);
    assert.match(await page.locator('body').innerText(), /stronger sign-in[^]*step-up-unmet/);
    await page.getByRole('link').first().click();
    await signInAs(page, 'ada');
    await page.waitForURL(`${origin('vault')}/secret`);
    assert.equal(await page.locator('#who').textContent(), 'ada@example.com');
    // It does for everything else, too.
    await page.goto(`${origin('one')}/`);
    await page.waitForURL(`${origin('one')}/`);
    await made.close();
  });
});

describe('a caller without a session', () => {
  test('that is a script gets 401 and a URL to sign in', async () => {
    const made = await context(browser);
    const answer = await made.request.get(`${origin('one')}/json`, { headers: { accept: 'application/json' }, maxRedirects: 0 });
    assert.equal(answer.status(), 401);
    assert.match(answer.headers()['www-authenticate'], /^Bearer/);
    const body = await answer.json();
    assert.equal(body.error, 'unauthenticated');
    assert.ok(body.sign_in.startsWith(origin('one')), body.sign_in);
    await made.close();
  });

  test('cannot finish the sign-in that another browser started', async () => {
    const attacker = await context(browser);
    // By hand, because the callback must not be opened by the browser that started.
    let url = `${origin('one')}/`;
    let answer = await attacker.request.get(url, { headers: { accept: 'text/html' }, maxRedirects: 0 });
    while (!/auth\.localhost.*\/callback\?/.test(url)) {
      const location = answer.headers().location;
      url = location ? new URL(location, url).href : url;
      answer = location
        ? (/\/callback\?/.test(url) ? answer : await attacker.request.get(url, { headers: { accept: 'text/html' }, maxRedirects: 0 }))
        : await attacker.request.post(url, { form: { login: 'ada' }, maxRedirects: 0 });
    }
    const callback = url;
    const victim = await context(browser);
    const refused = await victim.request.get(callback, { maxRedirects: 0 });
    assert.ok(refused.status() >= 400 && refused.status() < 500, `${refused.status()}`);
    assert.equal((await victim.cookies()).filter((cookie) => cookie.name === '__Host-portcullis').length, 0);
    await attacker.close();
    await victim.close();
  });
});

describe('a user whom a policy refuses', () => {
  test('reads why, who they are signed in as, and may sign in as somebody else', async () => {
    const { made, page } = await signedIn('ada');
    const answer = await page.goto(`${origin('sre')}/secret`);
    await page.waitForURL(`${origin('sre')}/secret`);
    assert.equal((await page.goto(`${origin('sre')}/secret`)).status(), 403);
    const text = await page.locator('body').innerText();
    assert.match(text, /Ask #sre for access\./);
    assert.match(text, /ada@example\.com/);
    assert.ok(!one.seen.some((request) => request.url === '/secret'), 'nothing reached the app');
    assert.ok(answer);
    await page.getByRole('link', { name: /somebody else|another|different/i }).click();
    await signInAs(page, 'grace');
    await page.waitForURL(`${origin('sre')}/secret`);
    assert.equal(await page.locator('#who').textContent(), 'grace@example.com');
    await made.close();
  });
});

describe('sign-out', () => {
  test('ends the session everywhere, at the provider too', async () => {
    const { made, page } = await signedIn('ada');
    await page.goto(`${origin('two')}/`);
    await page.waitForURL(`${origin('two')}/`);
    const kept = (await made.cookies()).filter((cookie) => cookie.name === '__Host-portcullis');
    await page.goto(`${origin('one')}/.portcullis/sign_out`);
    await page.getByRole('button', { name: /sign out/i }).click();
    await page.waitForURL((url) => url.pathname === '/.portcullis/signed_out');
    const thief = await context(browser);
    await thief.addCookies(kept);
    for (const host of ['one', 'two']) {
      const answer = await thief.request.get(`${origin(host)}/json`, { headers: { accept: 'application/json' }, maxRedirects: 0 });
      assert.equal(answer.status(), 401, host);
    }
    await thief.close();
    await page.goto(`${origin('two')}/`);
    assert.ok(page.url().startsWith(provider.issuer), page.url());
    await made.close();
  });

  test('is not done by a GET, nor by another site', async () => {
    const { made, page } = await signedIn('ada');
    await made.request.get(`${origin('one')}/.portcullis/sign_out`);
    await made.request.post(`${origin('one')}/.portcullis/sign_out`, { headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } });
    await page.goto(`${origin('one')}/`);
    assert.equal(await page.locator('#who').textContent(), 'ada@example.com');
    await made.close();
  });
});

describe('WebSockets', () => {
  test('open from the app\'s own page and echo', async () => {
    const { made, page } = await signedIn('ada');
    const echoed = await page.evaluate((url) => new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.onopen = () => socket.send('hello');
      socket.onmessage = (event) => { resolve(event.data); socket.close(); };
      socket.onerror = () => reject(new Error('refused'));
    }), origin('one').replace('https', 'wss'));
    assert.equal(echoed, 'hello');
    await made.close();
  });

  test('are refused to pages of other sites and to nobody', async () => {
    const { made } = await signedIn('ada');
    const cookie = (await made.cookies(origin('one'))).map(({ name, value }) => `${name}=${value}`).join('; ');
    const status = (headers) => new Promise((resolve) => {
      const socket = new WebSocket(origin('one').replace('https', 'wss'), { headers, rejectUnauthorized: false });
      socket.on('unexpected-response', (_request, response) => { resolve(response.statusCode); socket.terminate(); });
      socket.on('open', () => { resolve(101); socket.close(); });
      socket.on('error', () => {});
    });
    assert.equal(await status({ cookie, origin: origin('one') }), 101);
    assert.equal(await status({ cookie, origin: 'https://evil.example' }), 403);
    assert.equal(await status({ origin: origin('one') }), 401);
    await made.close();
  });
});

describe('the user\'s own page', () => {
  test('shows who they are, their sessions and the apps that they may open', async () => {
    const { made, page } = await signedIn('grace');
    await page.goto(`${origin('one')}/.portcullis/`);
    const text = await page.locator('body').innerText();
    assert.match(text, /grace@example\.com/);
    assert.match(text, /sre/);
    const user = await (await made.request.get(`${origin('one')}/.portcullis/user`)).json();
    assert.equal(user.email, 'grace@example.com');
    await made.close();
  });
});

describe('what is written down', () => {
  test('names each user and address once a request, and no secret', async () => {
    await proxy.stop();
    const lines = proxy.audit();
    const outcomes = new Map(lines.filter((line) => line.kind === 'outcome').map((line) => [line.id, line]));
    const records = lines.filter((line) => line.id && line.kind !== 'outcome').map((line) => ({ ...outcomes.get(line.id), ...line }));
    const allowed = records.filter((record) => record.decision === 'allow' && record.route === 'one' && record.user && record.status);
    assert.ok(allowed.length > 0);
    for (const record of allowed) {
      assert.equal(record.client_ip, '127.0.0.1');
      assert.match(record.user.email, /@example\.com$/);
      assert.ok(record.rule && record.revision && record.upstream, JSON.stringify(record));
    }
    assert.ok(records.some((record) => record.kind === 'sign_in' && record.user?.email === 'grace@example.com'));
    assert.ok(records.some((record) => record.kind === 'sign_out'));
    assert.ok(records.some((record) => record.decision === 'deny' && record.rule?.includes('sre-only')));
    // A session that a request replaced has a record of its own, with that request's id.
    const requests = records.filter((record) => record.kind !== 'revoke');
    assert.equal(new Set(requests.map((record) => record.id)).size, requests.length);
    // The hashes of the chain are random texts, in which any short word can come up.
    const written = JSON.stringify(lines.map(({ hash, prev, ...line }) => line)) + proxy.output();
    for (const word of [secret, 'eyJ', '__Host-portcullis=', '?code=', '&code=']) assert.ok(!written.includes(word), word);
  });
});
