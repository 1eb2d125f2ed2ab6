#!/usr/bin/env node
// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Signs a client in by the number of their membership card and the year of
// their birth. It shows what a plugin in any language has to do: the second half
// is go-plugin's side of it and is the same for every method.
//
// The gate runs a private copy of this one file. NODE_PATH says where the
// packages are, and PROTO_PATH where Portalgate's plugins/proto is. To look at it,
// in this folder:
//
//	npm ci
//	portalgate portalgate plugin test ./plugin.js --env NODE_PATH=$PWD/node_modules --env PROTO_PATH=$PWD/../../plugins/proto \
//		--config '{"members": {"1": {"born": 1815, "email": "ada@example.com"}}}'

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const selfsigned = require('selfsigned');
const path = require('node:path');
const { X509Certificate, timingSafeEqual, createHash } = require('node:crypto');

// --- the method ---

const label = 'your membership card';
const ask = {
  title: 'Sign in with your membership card',
  lead: 'The number is on the front of the card.',
  button: 'Sign in',
  fields: [
    { name: 'card', kind: 'KIND_TEXT', label: 'Card number' },
    { name: 'born', kind: 'KIND_DIGITS', label: 'Year of birth', hint: '4 digits' },
  ],
};
let members = new Map();

const method = {
  // members: { "<card>": { "born": 1815, "email": "ada@example.com" } }
  configure({ config_json }) {
    const config = JSON.parse(config_json.length ? config_json : '{}');
    if (!config.members) throw new Error('config: members is missing');
    members = new Map(Object.entries(config.members));
    return {};
  },
  describe: () => ({ name: 'membership-card', version: '1.0.0', label }),
  start: () => ({ step: { ask } }),
  continue({ request: { fields } }) {
    const member = members.get((fields.card ?? '').replaceAll(' ', ''));
    const hash = (s) => createHash('sha256').update(String(s)).digest();
    const right = timingSafeEqual(hash((fields.born ?? '').trim()), hash(member?.born ?? 'nobody'));
    if (!member || !right) return { denial: { text: 'That card number and year do not belong together.', field: 'card' } };
    return { claim: { subject: fields.card.replaceAll(' ', ''), email: member.email, email_verified: true, authoritative: true, amr: ['kba'] } };
  },
};

// --- what go-plugin asks for ---

if (process.env.PORTALGATE_PLUGIN !== 'authenticator') {
  console.error('this is a plugin of Portalgate; see `portalgate portalgate plugin test`');
  process.exit(1);
}
process.on('SIGTERM', () => {}); // the gate says when to stop
const parent = process.ppid;
setInterval(() => process.ppid !== parent && process.exit(1), 1000).unref();

const wire = (name) => grpc.loadPackageDefinition(
  loader.loadSync(name, { includeDirs: [process.env.PROTO_PATH], keepCase: true, defaults: true, enums: String, oneofs: true }));
const server = new grpc.Server();

const answer = (f) => (call, done) => {
  try {
    done(null, f(call.request));
  } catch (e) {
    done({ code: grpc.status.INVALID_ARGUMENT, details: e.message });
  }
};
const { Authenticator } = wire('authenticator/v1/authenticator.proto').portalgate.authenticator.v1;
server.addService(Authenticator.service, Object.fromEntries(
  ['Configure', 'Describe', 'Start', 'Continue'].map((name) => [name, answer(method[name.toLowerCase()])])));

// go-plugin's controller; its messages are empty.
const empty = { requestStream: false, responseStream: false, requestSerialize: () => Buffer.alloc(0), requestDeserialize: () => ({}), responseSerialize: () => Buffer.alloc(0), responseDeserialize: () => ({}) };
server.addService({ Shutdown: { path: '/plugin.GRPCController/Shutdown', ...empty } }, {
  Shutdown: (_, done) => { done(null, {}); setTimeout(() => process.exit(0), 50); },
});

// Mutual TLS: the gate's certificate comes in the environment, and ours goes
// back in the handshake. Both live as long as this process.
function credentials(theirs) {
  if (!theirs) return { ours: '', credentials: grpc.ServerCredentials.createInsecure() };
  const pair = selfsigned.generate([{ name: 'commonName', value: 'localhost' }], {
    days: 365, keySize: 2048, algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, keyCertSign: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  });
  return {
    ours: new X509Certificate(pair.cert).raw.toString('base64').replace(/=+$/, ''),
    credentials: grpc.ServerCredentials.createSsl(
      Buffer.from(theirs), [{ cert_chain: Buffer.from(pair.cert), private_key: Buffer.from(pair.private) }], true),
  };
}

const tls = credentials(process.env.PLUGIN_CLIENT_CERT);
const socket = path.join(process.env.PLUGIN_UNIX_SOCKET_DIR, 'plugin.sock');
server.bindAsync(`unix:${socket}`, tls.credentials, (error) => {
  if (error) throw error;
  process.stdout.write(`1|1|unix|${socket}|grpc|${tls.ours}\n`);
});
