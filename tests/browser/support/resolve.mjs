// `*.localhost` is the loopback interface (RFC 6761 §6.3), also where the system's resolver does not know it.

import dns from 'node:dns';

const known = (host) => host.endsWith('.localhost');
const { lookup } = dns;
dns.lookup = (host, options, callback = options) => {
  if (!known(host)) return lookup(host, options, callback);
  const all = typeof options === 'object' && options.all;
  return process.nextTick(callback, null, ...(all ? [[{ address: '127.0.0.1', family: 4 }]] : ['127.0.0.1', 4]));
};
const { lookup: promised } = dns.promises;
dns.promises.lookup = async (host, options) => {
  if (!known(host)) return promised(host, options);
  const found = { address: '127.0.0.1', family: 4 };
  return options?.all ? [found] : found;
};
