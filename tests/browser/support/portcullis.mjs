// Starts the real binary on a configuration of its own and stops it again.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const binary = process.env.PORTCULLIS_BIN ?? path.resolve(import.meta.dirname, '../../../target/debug/portcullis');

/** A port that was free a moment ago: `from` URLs carry the port, so it must be known before the start. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function temporaryDirectory() {
  return mkdtempSync(path.join(tmpdir(), 'portcullis-browser-'));
}

/** One certificate for all hosts. */
export function certificate(directory, hosts) {
  const names = hosts.map((host) => `DNS:${host}`).join(',');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=portcullis tests', '-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE',
    '-keyout', path.join(directory, 'key.pem'), '-out', path.join(directory, 'cert.pem')], { stdio: 'ignore' });
}

/** A file of `config/`, with what a test has in place of what its reader would have, and routes of the test's own at its end. */
export function example(name, replacements, routes = []) {
  let text = readFileSync(path.resolve(import.meta.dirname, '../../../config', name), 'utf8');
  for (const [old, replacement] of replacements) {
    if (!text.includes(old)) throw new Error(`config/${name} has no ${old}`);
    text = text.replaceAll(old, replacement);
  }
  return text + routes.map((route) => `  - ${JSON.stringify(route)}\n`).join('');
}

/** Writes `configuration` (an object, or the text of a file) and runs it until `stop`. */
export async function startPortcullis(directory, configuration) {
  const admin = await freePort();
  const file = path.join(directory, 'portcullis.yaml');
  const address = `127.0.0.1:${admin}`;
  writeFileSync(file, typeof configuration === 'string' ? `${configuration}admin: { address: "${address}" }\n`
    : JSON.stringify({ ...configuration, admin: { address } }, null, 2));
  const child = spawn(binary, ['run', '--config', file], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => { output += data; });
  child.stderr.on('data', (data) => { output += data; });
  const ended = new Promise((resolve) => child.on('exit', (code) => resolve(code)));
  await ready(`http://127.0.0.1:${admin}/readyz`, child, () => output);
  return {
    output: () => output,
    /** The most memory that was resident at any time, in bytes. */
    peak: () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]),
    /** Every line of the audit log; the proxy must have stopped, or one may still be on its way. */
    audit: () => readdirSync(path.join(directory, 'audit')).filter((name) => name.endsWith('.jsonl')).sort()
      .flatMap((name) => readFileSync(path.join(directory, 'audit', name), 'utf8').split('\n').filter(Boolean))
      .map((line) => JSON.parse(line)),
    stop: () => { child.kill('SIGTERM'); return ended; },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

async function ready(url, child, output) {
  const end = Date.now() + 15_000;
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`portcullis ended with ${child.exitCode}:\n${output()}`);
    const answer = await fetch(url).catch(() => null);
    if (answer?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`portcullis did not get ready:\n${output()}`);
}
