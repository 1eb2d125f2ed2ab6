// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// A client portal that stands behind Portalgate, for Node 18 or newer:
//
//	npm ci
//	ISSUER=https://portal.example.com AUDIENCE=portal PORT=9000 node portal.js
//
// ISSUER is the gate's public_url, AUDIENCE what its handler says (default:
// ISSUER), KEYS_URL where its keys are, if not there. It listens on loopback,
// for it must be reachable through the gate only: what comes from elsewhere is
// refused as long as nothing is served before verify has been asked.
//
//	node portal.js --vectors FILE
//
// checks the published assertions instead: see identity/testdata/README.md.

import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createLocalJWKSet, createRemoteJWKSet, errors, jwtVerify } from 'jose';

globalThis.crypto ??= webcrypto; // where jose looks for it, and Node 18 does not have it

// verify returns what an assertion says of the client, or throws: Unavailable
// if the gate's keys cannot be had, and anything else if it is refused.
async function verify(token, keys, issuer, audience, now = new Date()) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ['ES256'],
    typ: 'portalgate-identity+jwt',
    issuer,
    audience,
    requiredClaims: ['exp', 'nbf', 'iat', 'sub'],
    maxTokenAge: 60, // also refuses an iat that is ahead
    clockTolerance: 30,
    currentDate: now,
  });
  // What jose lets pass: a list that names us, and a client who is not one.
  if (payload.aud !== audience) throw new Error('aud is a list');
  if (typeof payload.sub !== 'string' || payload.sub === '') throw new Error('no sub');
  if (payload.anonymous !== undefined) throw new Error('nobody is signed in');
  return payload;
}

class Unavailable extends Error {}

// remoteKeys are the gate's keys, 5 minutes old at most. A name that is not
// among them has them fetched anew, but not within 30 s: anybody can make up
// names.
function remoteKeys(url) {
  const keys = createRemoteJWKSet(new URL(url), { cacheMaxAge: 300_000, cooldownDuration: 30_000 });
  return (header, token) => keys(header, token).catch((e) => {
    throw e instanceof errors.JWKSNoMatchingKey ? e : new Unavailable('no keys', { cause: e });
  });
}

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function serve({ ISSUER = 'http://localhost:8080', AUDIENCE = ISSUER, PORT = '9000',
  KEYS_URL = `${ISSUER}/.well-known/portalgate/jwks.json` }) {
  const keys = remoteKeys(KEYS_URL);
  createServer(async (req, res) => {
    res.setHeader('Cache-Control', 'no-store');
    try {
      const who = await verify(req.headers['portalgate-assertion'] ?? '', keys, ISSUER, AUDIENCE);
      res.setHeader('Content-Type', 'text/html; charset=utf-8');
      res.end(`<!doctype html><title>Portal</title><h1>Hello ${escaped(who.name ?? who.sub)}</h1>\n`);
    } catch (e) {
      res.setHeader('Content-Type', 'text/plain; charset=utf-8');
      if (e instanceof Unavailable) {
        res.writeHead(503, { 'Retry-After': '5' });
        res.end('We cannot check who you are just now. Please try again in a moment.\n');
      } else {
        res.writeHead(401, { 'WWW-Authenticate': 'Portalgate' });
        res.end('Please open this page through the client portal and sign in there.\n');
      }
    }
  }).listen(Number(PORT), '127.0.0.1');
}

async function checkVectors(file) {
  const f = JSON.parse(readFileSync(file, 'utf8'));
  const keys = createLocalJWKSet(f.jwks);
  for (const v of f.vectors) {
    const ok = await verify(v.token, keys, f.issuer, f.audience, new Date(f.now * 1000)).then(() => true, () => false);
    console.log(v.name, ok ? 'ok' : 'refused');
  }
}

if (process.argv[2] === '--vectors') await checkVectors(process.argv[3]);
else serve(process.env);
