# SPDX-FileCopyrightText: Portalgate contributors
# SPDX-License-Identifier: Apache-2.0

"""A client portal that stands behind Portalgate, as a WSGI application.

	apt-get install python3-jwt python3-cryptography
	ISSUER=https://portal.example.com AUDIENCE=portal PORT=9000 python3 portal.py

ISSUER is the gate's public_url, AUDIENCE what its handler says (default:
ISSUER), KEYS_URL where its keys are, if not there. It listens on loopback, for
it must be reachable through the gate only: what comes from elsewhere is refused
as long as nothing is served before verify has been asked.

	python3 portal.py --vectors FILE

checks the published assertions instead: see identity/testdata/README.md.
"""

import html
import http.client
import json
import os
import sys
import threading
import time
from socketserver import ThreadingMixIn
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import jwt


def verify(token, key_named, issuer, audience, now):
    """Return what an assertion says of the client, or raise jwt.PyJWTError.

    What key_named raises goes on to the caller.
    """
    header = jwt.get_unverified_header(token)
    if set(header) != {"alg", "kid", "typ"} or header["typ"] != "portalgate-identity+jwt":
        raise jwt.InvalidTokenError("typ, or a header that no gate writes")
    key = key_named(header["kid"])
    if key is None:
        raise jwt.InvalidKeyError("kid")
    # PyJWT checks the signature. Its check of aud takes lists, those of times
    # take strings and know no other clock.
    claims = jwt.decode(token, key, algorithms=["ES256"], options={
        "verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False})
    iat, nbf, exp, sub = (claims.get(name) for name in ("iat", "nbf", "exp", "sub"))
    if claims.get("iss") != issuer or claims.get("aud") != audience:
        raise jwt.InvalidTokenError("iss or aud")
    if not all(type(t) is int for t in (iat, nbf, exp)) or not max(iat, nbf) - 30 <= now < exp + 30:
        raise jwt.InvalidTokenError("exp, nbf or iat")
    if not isinstance(sub, str) or not sub or "anonymous" in claims:
        raise jwt.InvalidTokenError("nobody is signed in")
    return claims


class Keys:
    """The gate's keys, fetched anew after 5 minutes, or for a name that is not among them.

    Not within 30 s of the last time, though: anybody can make up names. While
    they cannot be fetched, those that were keep working.
    """

    def __init__(self, url):
        self.url, self.keys, self.lock = urlsplit(url), {}, threading.Lock()
        self.fetched = self.tried = -1000

    def named(self, kid):
        """Return the key of that name, None if there is none. Raise OSError if nobody can tell."""
        with self.lock:
            now = time.monotonic()
            wanted = kid not in self.keys or now - self.fetched > 300
            if wanted and (now - self.tried >= 30 or not self.keys):
                self.tried = now
                try:
                    self.keys, self.fetched = self.fetch(), now
                except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, jwt.PyJWTError) as e:
                    if kid not in self.keys:
                        raise OSError("the gate's keys") from e
            return self.keys.get(kid)

    def fetch(self):
        # A plain client, for urllib would go wherever an answer sends it.
        secure = self.url.scheme == "https"
        c = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(self.url.netloc, timeout=5)
        try:
            c.request("GET", self.url.path)
            answer = c.getresponse()
            if answer.status != 200:
                raise OSError(f"status {answer.status}")
            return read_keys(json.load(answer))
        finally:
            c.close()


def read_keys(jwks):
    return {k["kid"]: jwt.PyJWK(k).key for k in jwks["keys"]}


def portal(issuer, audience, keys):
    """Return the WSGI application."""

    def app(environ, start_response):
        text = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        try:
            token = environ.get("HTTP_PORTALGATE_ASSERTION", "")
            who = verify(token, keys.named, issuer, audience, time.time())
        except jwt.PyJWTError:
            start_response("401 Unauthorized", text + [("WWW-Authenticate", "Portalgate")])
            return [b"Please open this page through the client portal and sign in there.\n"]
        except OSError:
            start_response("503 Service Unavailable", text + [("Retry-After", "5")])
            return [b"We cannot check who you are just now. Please try again in a moment.\n"]
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")])
        name = html.escape(who.get("name", who["sub"]))
        return [f"<!doctype html><title>Portal</title><h1>Hello {name}</h1>\n".encode()]

    return app


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def serve(env):
    issuer = env.get("ISSUER", "http://localhost:8080")
    keys = Keys(env.get("KEYS_URL", issuer + "/.well-known/portalgate/jwks.json"))
    app = portal(issuer, env.get("AUDIENCE", issuer), keys)
    make_server("127.0.0.1", int(env.get("PORT", "9000")), app, Server, WSGIRequestHandler).serve_forever()


def check_vectors(path):
    with open(path, encoding="utf-8") as f:
        doc = json.load(f)
    keys = read_keys(doc["jwks"])
    for v in doc["vectors"]:
        try:
            verify(v["token"], keys.get, doc["issuer"], doc["audience"], doc["now"])
            print(v["name"], "ok")
        except jwt.PyJWTError:
            print(v["name"], "refused")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--vectors"]:
        check_vectors(sys.argv[2])
    else:
        serve(os.environ)
