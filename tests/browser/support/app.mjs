// An app behind the proxy: shows what it was told, echoes WebSocket messages.

import http from 'node:http';
import { WebSocketServer } from 'ws';

export async function startApp(name) {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push({ method: request.method, url: request.url, headers: request.headers });
    const token = request.headers['x-portcullis-jwt-assertion'];
    const claims = token ? JSON.parse(Buffer.from(token.split('.')[1], 'base64url')) : null;
    if (request.url.startsWith('/json')) {
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify({ app: name, claims, headers: request.headers }));
    }
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><title>${name}</title><h1>${name}</h1><p id="who">${claims?.email ?? 'nobody'}</p>`);
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    seen,
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => { sockets.close(); server.closeAllConnections(); server.close(resolve); }),
  };
}
