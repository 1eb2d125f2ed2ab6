// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity

import "errors"

// Error says why an assertion was refused. Code is stable and one of:
//
//	no_assertion  the request has none
//	duplicate     the request has more than one
//	malformed     not three parts of canonical base64url, too long, not one JSON
//	              object, a member twice, or a member of the wrong type
//	header        a header member other than alg, typ and kid (jwk, jku, x5u,
//	              crit, b64, …)
//	alg           not ES256
//	typ           not portalgate-identity+jwt
//	kid           none, or no such key
//	signature     does not match the key, or is not in its one canonical form
//	issuer        not the gate's public URL, letter for letter
//	audience      not exactly one string, or not ours
//	time          iat, nbf or exp missing or not a whole number of seconds
//	lifetime      good for longer than a gate would say, or for no time at all
//	expired       too old
//	not_yet       from the future
//	subject       nobody named, or somebody named by an anonymous assertion
//	anonymous     nobody is signed in, which Options.AllowAnonymous would allow
//	keys          the gate's keys cannot be had, so nothing can be told
//
// All but "keys" are a no. "keys" is an "unknown": try again later.
type Error struct {
	Code string

	cause error
}

// Error names the code and, for "keys", what went wrong. It never holds a
// part of the assertion.
func (e *Error) Error() string {
	if e.cause != nil {
		return "assertion: " + e.Code + ": " + e.cause.Error()
	}
	return "assertion: " + e.Code
}

// Unwrap returns what went wrong while fetching keys, or nil.
func (e *Error) Unwrap() error { return e.cause }

// refuse is an Error with that code.
func refuse(code string) error { return &Error{Code: code} }

// isCode reports whether err is an Error with that code.
func isCode(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}
