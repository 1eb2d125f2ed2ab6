// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/internal/store"
	"github.com/portalgate/portalgate/internal/store/bolt"
)

const gateName = "main"

// lifetimes are the gate's defaults.
var lifetimes = access.Lifetimes{
	Idle: 30 * time.Minute, Absolute: 12 * time.Hour, SharedIdle: 10 * time.Minute, SharedAbsolute: time.Hour,
}

// headStart is how far ahead a fresh crowd's activity is dated: longer than it
// is measured.
const headStart = 10 * time.Minute

// cookies is what a client's browser sends along: its session's cookie, and
// the one by which it is known. Both are of the same length for every client.
type cookies struct{ session, known string }

// seed puts a crowd on file and into the store, each client signed in once, by
// a link, in one browser: by the rules of the house and sealed as the gate
// seals.
func seed(ctx context.Context, secret []byte, storeFile, clientsFile string, c crowd) ([]cookies, error) {
	root, err := seal.New(secret, gateName)
	if err != nil {
		return nil, err
	}
	backend, err := bolt.Open(storeFile, bolt.Options{})
	if err != nil {
		return nil, err
	}
	st := store.Sealed(backend, root.Box("store"))
	defer st.Close()
	if err := store.Claim(ctx, st, gateName); err != nil {
		return nil, err
	}
	records := session.New(st, root, time.Now, time.Time{})
	known := root.Box("cookie known")
	list := bytes.NewBufferString("id,email,name,portal_access,email_ok\n")
	all := make([]cookies, c.sessions)
	began := time.Now()
	for i := range all {
		id, email := fmt.Sprintf("%06d", i), fmt.Sprintf("client.%06d@example.com", i)
		fmt.Fprintf(list, "%s,%s,Client Number %06d,yes,yes\n", id, email, i)
		at := began.Add(-time.Minute * time.Duration(i) / time.Duration(len(all)))
		if c.fresh {
			at = began.Add(headStart)
		}
		if all[i], err = signIn(ctx, records, known, id, email, at); err != nil {
			return nil, fmt.Errorf("seeding session %d: %w", i, err)
		}
	}
	if err := os.WriteFile(clientsFile, list.Bytes(), 0o600); err != nil {
		return nil, err
	}
	return all, st.Close()
}

func signIn(ctx context.Context, records *session.Records, known *seal.Box, id, email string, at time.Time) (cookies, error) {
	to, err := address.Parse(email)
	if err != nil {
		return cookies{}, err
	}
	secret := random(session.SecretSize)
	browser := random(16)
	link := access.HashOf(random(session.SecretSize))
	tag := records.Tag(id)
	err = records.Update(ctx, tag, func(_ time.Time, r *access.Record) error {
		r.Bind(at, id, records.Address(to))
		r.AddLink(at, access.Link{Hash: link, Made: at.Unix(), Expires: at.Add(24 * time.Hour).Unix(), ReturnTo: "/appointments"})
		_, _, state := r.Redeem(at, access.Redemption{
			Link: link, Nonce: access.HashOf(random(session.SecretSize)), Session: access.HashOf(secret),
			Method: "magic_link", Kind: "Chrome on Windows", Browser: access.HashOf(browser), Lifetimes: lifetimes,
		})
		if state != access.Live {
			return fmt.Errorf("the link is %s", state)
		}
		return nil
	})
	if err != nil {
		return cookies{}, err
	}
	// As package gate has it; open sees to it that the gate takes it.
	text, err := json.Marshal([]struct {
		Tag  string `json:"t"`
		ID   []byte `json:"i"`
		Used int64  `json:"u"`
	}{{tag, browser, at.Unix()}})
	if err != nil {
		return cookies{}, err
	}
	return cookies{session.Token(tag, secret), base64.RawURLEncoding.EncodeToString(known.Seal(text, ""))}, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
