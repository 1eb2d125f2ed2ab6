// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/redistest"
	"github.com/portalgate/portalgate/internal/store"
)

// TestS03_Eviction: a server that evicts drops limits and ended sessions without
// a word.
func TestS03_Eviction(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, Options{URL: srv.URL()})
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"} {
		srv.Do("CONFIG", "SET", "maxmemory-policy", policy)
		if _, err := s.Check(t.Context()); err == nil || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), policy) {
			t.Errorf("Check with %s: %v, want a refusal that names it", policy, err)
		}
	}
	srv.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	if _, err := s.Check(t.Context()); err != nil {
		t.Errorf("Check with noeviction: %v", err)
	}

	// Full, it says so and keeps what it has.
	mustUpdate(t, s, "access/key", "value")
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	if err := s.Update(t.Context(), "access/key", set("new")); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Update with no room: %v, want ErrUnknown", err)
	}
	wantValue(t, s, "access/key", "value")
	if _, err := s.Check(t.Context()); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Check with no room: %v, want ErrUnknown", err)
	}

	n := redistest.Cluster(t)
	n.Servers[2].Do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	if _, err := open(t, clustered(n, 0)).Check(t.Context()); err == nil || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Check of a cluster of which one node evicts: %v, want a refusal", err)
	}
	if _, err := open(t, Options{URL: n.Servers[0].URL()}).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "as a cluster") {
		t.Errorf("Check of a cluster's node as a single server: %v, want a refusal", err)
	}
}

func TestCheck(t *testing.T) {
	srv := redistest.Standalone(t)
	h, err := open(t, Options{URL: srv.URL(), Replicas: 1}).Check(t.Context())
	if err != nil || len(h.Warnings) != 2 || !strings.Contains(h.Warnings[0], "appendonly yes") || !strings.Contains(h.Warnings[1], "0 of the 1 replicas") {
		t.Errorf("Check = %q, %v, want warnings of no append-only file and no replica", h.Warnings, err)
	}
	if h.Skew.Abs() > time.Second || h.Skew == 0 || h.Common != h.Skew {
		t.Errorf("a skew of %v to this machine's own clock", h.Skew)
	}
	if n := srv.Do("DBSIZE"); n != "0" {
		t.Errorf("Check left %s keys", n)
	}
	srv.Do("CONFIG", "SET", "appendonly", "yes")
	if h, err := open(t, Options{URL: srv.URL()}).Check(t.Context()); err != nil || len(h.Warnings) > 0 {
		t.Errorf("Check = %q, %v", h.Warnings, err)
	}

	// A server that is not there may come yet.
	srv.Kill()
	if _, err := open(t, Options{URL: srv.URL()}).Check(t.Context()); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Check of a server that is down: %v, want ErrUnknown", err)
	}
}

// rights are all that a gate needs of a server.
func rights(prefix string) []string {
	return []string{"~portalgate:" + prefix + ":*", "&portalgate:" + prefix + ":*", "resetchannels",
		"&portalgate:" + prefix + ":*", "+eval", "+evalsha", "+get", "+set", "+del", "+time", "+info", "+ping", "+hello",
		"+select", "+publish", "+subscribe", "+wait", "+zadd", "+zrem", "+zscore", "+zcard", "+zrangebyscore", "+hget", "+hgetall", "+hset", "+hdel", "+hincrby"}
}

// TestUser: a user who may do what a gate does and nothing else, and what is said
// of one who may do less.
func TestUser(t *testing.T) {
	srv := redistest.Standalone(t)
	user := func(name string, rights ...string) string {
		srv.Do(append([]string{"ACL", "SETUSER", name, "on", ">pa%ss"}, rights...)...)
		return "redis://" + name + ":pa%25ss@" + srv.Addr() + "/0"
	}
	suite(t, Options{URL: user("suite", rights("gate-*")...)})
	s := open(t, Options{URL: user("gate", rights("main")...)})
	if _, err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	watch(t, s)
	if _, err := open(t, Options{URL: user("gate"), Prefix: "other"}).Check(t.Context()); err == nil || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Check of another gate's keys: %v, want a refusal", err)
	}
	for _, missing := range []string{"-evalsha", "-get", "-set", "-del", "-publish", "-time", "-info", "resetchannels"} {
		s := open(t, Options{URL: user("less"+strings.Trim(missing, "-"), append(rights("main"), missing)...)})
		if _, err := s.Check(t.Context()); err == nil || errors.Is(err, store.ErrUnknown) {
			t.Errorf("Check with %s: %v, want a refusal", missing, err)
		}
		wantNothingWritten(t, s, srv)
	}
	wrong := open(t, Options{URL: "redis://gate:wrong@" + srv.Addr()})
	if _, err := wrong.Check(t.Context()); err == nil || errors.Is(err, store.ErrUnknown) || strings.Contains(err.Error(), "wrong@") {
		t.Errorf("Check with a wrong password: %v, want a refusal", err)
	}
	wantUnknown(t, wrong, "the password is wrong")

	// Without INFO nobody could tell whether the server lost writes in a failover:
	// a link would be good twice.
	blind := open(t, Options{URL: user("blind", append(rights("main"), "-info")...)})
	wantUnknown(t, blind, "INFO is not allowed")
}

// wantNothingWritten: a script that may not go on must not have begun.
func wantNothingWritten(t *testing.T, s *Store, srv *redistest.Server) {
	t.Helper()
	before := srv.Do("DBSIZE")
	if err := s.Update(t.Context(), "access/unwritten", set("x")); err != nil && !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Update without the right to: %v", err)
	} else if err != nil && srv.Do("DBSIZE") != before {
		t.Error("an Update that failed has written")
	}
	srv.Do("DEL", s.name("v", "access/unwritten").full)
}

// TestTLS: with an authority of one's own and a client certificate, and never
// without being asked to.
func TestTLS(t *testing.T) {
	ca, key := authority(t)
	dir := t.TempDir()
	serverCert, serverKey := issue(t, dir, "server", ca, key)
	clientCert, clientKey := issue(t, dir, "client", ca, key)
	caFile := filepath.Join(dir, "ca.pem")
	writePEM(t, caFile, "CERTIFICATE", ca.Raw)

	srv := redistest.Standalone(t)
	tlsPort := redistest.FreePort(t)
	srv.Add("--tls-port", tlsPort, "--tls-cert-file", serverCert, "--tls-key-file", serverKey, "--tls-ca-cert-file", caFile)
	srv.Restart()
	url := "rediss://127.0.0.1:" + tlsPort
	s := open(t, Options{URL: url, CA: caFile, Cert: clientCert, Key: clientKey})
	mustUpdate(t, s, "access/key", "value")
	wantValue(t, s, "access/key", "value")
	wantUnknown(t, open(t, Options{URL: url, CA: caFile}), "no certificate is shown")
	wantUnknown(t, open(t, Options{URL: url, Cert: clientCert, Key: clientKey}), "the authority is nobody we know")
	wantUnknown(t, open(t, Options{URL: strings.Replace(url, "127.0.0.1", "localhost", 1), CA: caFile, Cert: clientCert, Key: clientKey}),
		"the certificate is for another name")
}

// TestTLSRenewed: the authority and both certificates are replaced, as they are
// every few weeks. A gate that went on with the old ones would lose its store on
// the day they run out.
func TestTLSRenewed(t *testing.T) {
	dir := t.TempDir()
	caFile := filepath.Join(dir, "ca.pem")
	var files []string
	renew := func() {
		ca, key := authority(t)
		serverCert, serverKey := issue(t, dir, "server", ca, key)
		clientCert, clientKey := issue(t, dir, "client", ca, key)
		writePEM(t, caFile, "CERTIFICATE", ca.Raw)
		files = []string{serverCert, serverKey, clientCert, clientKey}
	}
	renew()
	srv := redistest.Standalone(t)
	tlsPort := redistest.FreePort(t)
	srv.Add("--tls-port", tlsPort, "--tls-cert-file", files[0], "--tls-key-file", files[1], "--tls-ca-cert-file", caFile)
	srv.Restart()
	s := open(t, Options{URL: "rediss://127.0.0.1:" + tlsPort, CA: caFile, Cert: files[2], Key: files[3]})
	mustUpdate(t, s, "access/key", "value")
	renew()
	srv.Restart()
	await(t, "calls pass by the new files", func() bool { return s.Update(t.Context(), "access/key", set("new")) == nil })
	// Of files that are just being written the last good ones serve.
	if err := os.WriteFile(files[2], []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.Do("CLIENT", "KILL", "TYPE", "normal")
	await(t, "calls pass by the last good files", func() bool { return s.Update(t.Context(), "access/key", set("newer")) == nil })
}

func authority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func issue(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOptions: an operator is told what is wrong, and no log learns a password.
func TestOptions(t *testing.T) {
	good := Options{URL: "redis://user:hunter2@127.0.0.1:6379/3", Prefix: "main"}
	for _, tc := range []struct {
		name   string
		change func(*Options)
		want   string // in the error; empty for none
	}{
		{"good", func(*Options) {}, ""},
		{"unix", func(o *Options) { o.URL = "unix://user:hunter2@/run/redis.sock?db=2" }, ""},
		{"tls", func(o *Options) { o.URL = "rediss://user:hunter2@127.0.0.1" }, ""},
		{"no URL", func(o *Options) { o.URL = "" }, "must be redis://"},
		{"scheme", func(o *Options) { o.URL = "http://user:hunter2@host" }, "must be redis://"},
		{"no scheme", func(o *Options) { o.URL = "user:hunter2@host:6379" }, "must be redis://"},
		{"bad port", func(o *Options) { o.URL = "redis://user:hunter2@host:port" }, "must be redis://"},
		{"bad escape", func(o *Options) { o.URL = "redis://user:hunter2%zz@host" }, "must be redis://"},
		{"slash in the password", func(o *Options) { o.URL = "redis://user:hunter2/x@host" }, "must be redis://"},
		{"bad database", func(o *Options) { o.URL = "redis://user:hunter2@host/x" }, "must be redis://"},
		{"option", func(o *Options) { o.URL += "?read_timeout=1h" }, "option"},
		{"no prefix", func(o *Options) { o.Prefix = "" }, "prefix"},
		{"braces", func(o *Options) { o.Prefix = "a{b}" }, "prefix"},
		{"replicas", func(o *Options) { o.Replicas = -1 }, "negative"},
		{"sentinel without addresses", func(o *Options) { o.Sentinel = "main" }, "sentinel"},
		{"sentinels without a name", func(o *Options) { o.Sentinels = []string{"h:1"} }, "sentinel"},
		{"sentinel and cluster", func(o *Options) { o.Sentinel, o.Sentinels, o.Cluster = "main", []string{"h:1"}, true }, "not both"},
		{"cluster with a database", func(o *Options) { o.Cluster = true }, "database 0"},
		{"cluster on a socket", func(o *Options) { o.URL, o.Cluster = "unix:///run/redis.sock", true }, "unix socket"},
		{"ca without tls", func(o *Options) { o.CA = "ca.pem" }, "rediss://"},
		{"no ca", func(o *Options) { o.URL, o.CA = "rediss://host", "/nowhere/ca.pem" }, "/nowhere/ca.pem"},
		{"empty ca", func(o *Options) { o.URL, o.CA = "rediss://host", os.DevNull }, "no certificate"},
		{"no key", func(o *Options) { o.URL, o.Cert = "rediss://host", os.DevNull }, "certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := good
			tc.change(&o)
			s, err := Open(o)
			if err == nil {
				s.Close()
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open: %v, want %q", err, tc.want)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}
