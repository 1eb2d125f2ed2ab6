// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Package http is the directory for a practice whose own system knows its
// clients: `clients http <url>`. It asks one question at a time, by POST, so that
// no address comes to stand in a URL, which is logged:
//
//	POST <url>
//	Authorization: Bearer <token>
//	Content-Type: application/json
//
//	{"email": "ada@example.com"}    or    {"id": "c-1"}
//
// The answer is always 200, with the client as it is on file, or none:
//
//	{"client": {"id": "c-1", "email": "Ada@example.com", "name": "Ada Lovelace",
//	            "phone": "+1 555 0100", "language": "en",
//	            "portal_access": true, "email_ok": true}}
//
//	{"client": null}
//
// id, email, portal_access and email_ok must be there; the rest may be empty or
// absent, and what is not known is passed over. Addresses are to be compared
// without regard to ASCII case, and in no other way.
//
// Everything else, a 404 too, means that nobody can tell: a wrong path or a broken
// system must not look like a practice without clients. Nothing is redirected,
// because the token would go along.
package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/portalgate/portalgate/internal/address"
	"github.com/portalgate/portalgate/internal/directory"
	"github.com/portalgate/portalgate/internal/store"
)

const (
	// patience is how long an answer may take, all in all.
	patience = 2 * time.Second
	// maxAnswer bounds what is read of one, in bytes.
	maxAnswer = 64 << 10
	// atOnce is how many questions are asked at the same time.
	atOnce = 32
)

// Options say whom to ask.
type Options struct {
	// URL is https, or http on a loopback address. It has no query.
	URL string
	// Token is what the practice's system knows the gate by.
	Token string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Directory is a [directory.Directory]. It may be used concurrently.
type Directory struct {
	url    string
	token  string
	client *http.Client
	known  *cache
	asking singleflight.Group
}

// New returns a directory, or says what is wrong with the options. It asks
// nothing yet.
func New(o Options) (*Directory, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, err
	}
	if err := checkToken(o.Token); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = atOnce, atOnce
	t.IdleConnTimeout = 15 * time.Second // lets go of what a replaced configuration leaves behind
	t.MaxResponseHeaderBytes = maxAnswer
	return &Directory{url: o.URL, token: o.Token, known: newCache(o.Now), client: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckURL says what is wrong with the address of a practice's system.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("url is no plain address; write where the practice's system answers: https://office.example.com/portalgate")
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("url must be https, because the token and clients' addresses go there; http is for a system on this machine: http://127.0.0.1:3000/portalgate")
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func checkToken(s string) error {
	if s == "" {
		return errors.New("token is empty; give the gate one that the practice's system asks for")
	}
	if strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return errors.New("token has a space, a line break or a sign that cannot stand in a header")
	}
	return nil
}

// ByAddress implements directory.Directory. It always asks: whoever begins to
// sign in is on file now.
func (d *Directory) ByAddress(ctx context.Context, a address.Address) (directory.Client, error) {
	if a == (address.Address{}) {
		return directory.Client{}, directory.ErrNotFound
	}
	return d.ask(ctx, question{Email: a.String()})
}

// ByID implements directory.Directory. Who was on file is asked about again after
// five minutes.
func (d *Directory) ByID(ctx context.Context, id string) (directory.Client, error) {
	if !directory.IsID(id) {
		return directory.Client{}, directory.ErrNotFound
	}
	if c, ok := d.known.get(id); ok {
		return c, nil
	}
	return d.ask(ctx, question{ID: id})
}

// question is about one of the two.
type question struct {
	Email string `json:"email,omitempty"`
	ID    string `json:"id,omitempty"`
}

// ask asks once for all who want to know the same at the same time. Whoever gives
// up does not take the answer from the others.
func (d *Directory) ask(ctx context.Context, q question) (directory.Client, error) {
	asked := d.asking.DoChan(q.ID+" "+q.Email, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		gen := d.known.generation()
		c, err := d.post(ctx, q)
		switch {
		case err == nil:
			d.known.put(c, gen)
		case q.ID != "" && errors.Is(err, directory.ErrNotFound):
			d.known.drop(q.ID)
		}
		return c, err
	})
	select {
	case r := <-asked:
		return r.Val.(directory.Client), r.Err
	case <-ctx.Done():
		return directory.Client{}, unknown("asking whether somebody is on file: %v", context.Cause(ctx))
	}
}

func (d *Directory) post(ctx context.Context, q question) (directory.Client, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return directory.Client{}, unknown("%v", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return directory.Client{}, unknown("%v", err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "portalgate")
	res, err := d.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return directory.Client{}, unknown("the practice's system did not answer within %v", patience)
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address
		}
		return directory.Client{}, unknown("the practice's system cannot be asked: %v", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return directory.Client{}, unknown("the practice's system answers %d, not 200", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return directory.Client{}, unknown("the practice's system did not answer within %v", patience)
	case err != nil:
		return directory.Client{}, unknown("the practice's system broke off: %v", err)
	}
	return parse(text, q)
}

// untold is why nobody can tell: a store.ErrUnknown that speaks of no store.
type untold string

func (u untold) Error() string { return string(u) }

func (u untold) Is(target error) bool { return target == store.ErrUnknown }

func unknown(format string, args ...any) error { return untold(fmt.Sprintf(format, args...)) }

// Interface guard
var _ directory.Directory = (*Directory)(nil)
