// A certified OpenID Connect provider (oidc-provider) on loopback, with a sign-in form of two fields, and a page for consent that
// only those see who are to be asked.

import http from 'node:http';
import { Provider } from 'oidc-provider';

export const users = {
  ada: { email: 'ada@example.com', name: 'Ada Lovelace', groups: ['engineering'] },
  grace: { email: 'grace@example.com', name: 'Grace Hopper', groups: ['engineering', 'sre'] },
  mallory: { email: 'mallory@example.com', name: 'Mallory', groups: [] },
};

/** Starts the provider; `signInOrigin` is the value of `authenticate.url`, `more` are settings that it has by itself otherwise. */
export async function startProvider(signInOrigin, more = {}) {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'portcullis',
      client_secret: 'a-secret-of-the-tests-only',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [`${signInOrigin}/.portcullis/callback`],
      post_logout_redirect_uris: [`${signInOrigin}/.portcullis/signed_out`],
      backchannel_logout_uri: `${signInOrigin}/.portcullis/backchannel_logout`,
      backchannel_logout_session_required: true,
    }],
    acrValues: ['phr'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['a-key-of-the-tests-only'] },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => { ctx.body = `<body onload="document.forms[0].submit()">${form.replace('</form>', '<input type="hidden" name="logout" value="yes"/></form>')}`; },
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) => users[id] && {
      accountId: id,
      claims: () => ({ sub: id, email_verified: true, ...users[id] }),
    },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid email profile offline_access');
      await grant.save();
      return grant;
    },
    ...more,
  });
  const serve = provider.callback();
  const state = { down: false, refreshTokens: [] };
  provider.on('refresh_token.saved', (token) => state.refreshTokens.push(token.jti));
  server.on('request', async (request, response) => {
    if (state.down) return request.socket.destroy();
    const uid = /^\/interaction\/([\w-]+)$/.exec(request.url)?.[1];
    if (!uid) return serve(request, response);
    if (request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const login = new URLSearchParams(body).get('login');
      // Nobody proves anything here: a sign-in is as strong as it was asked to be.
      const { params, prompt } = await provider.interactionDetails(request, response);
      const result = prompt.name === 'consent' ? { consent: {} } : { login: { accountId: login, acr: params.acr_values } };
      return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    }
    response.setHeader('content-type', 'text/html; charset=utf-8');
    const { prompt } = await provider.interactionDetails(request, response);
    if (prompt.name === 'consent') return response.end('<!doctype html><title>Provider</title><form method="post"><button>Allow</button></form>');
    response.end('<!doctype html><title>Provider</title><form method="post"><label>Login <input name="login" autofocus></label><button>Sign in</button></form>');
  });
  return { issuer, state, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }) };
}
