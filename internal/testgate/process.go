// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package testgate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// process is a program that should run until it is stopped.
type process struct {
	cmd    *exec.Cmd
	log    string
	killed bool
	done   chan struct{} // closed when it has ended
	err    error         // how it ended; read after done
}

// run starts a program with its output added to a file in Dir.
func (g *Gate) run(log, path string, args ...string) *process {
	g.t.Helper()
	out, err := os.OpenFile(g.File(log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer out.Close()
	cmd := g.command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	p := &process{cmd: cmd, log: g.File(log), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p
}

// command is a program that has this gate's files for its home.
func (g *Gate) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = g.Dir
	cmd.Env = append(os.Environ(),
		"HOME="+g.Dir, "XDG_DATA_HOME="+g.File("data"), "XDG_CONFIG_HOME="+g.File("config"),
		"GORACE=halt_on_error=0")
	if g.CertFile != "" {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+g.CertFile)
	}
	return cmd
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks the process to end. It fails the test if it had ended already, or
// if its race detector has found something.
func (p *process) stop(t testing.TB) {
	t.Helper()
	defer func() {
		b, _ := os.ReadFile(p.log)
		for _, report := range races(string(b)) {
			t.Errorf("%s has a data race:\n%s", p.cmd.Path, report)
		}
	}()
	if p.ended() {
		if !p.killed {
			t.Errorf("%s ended on its own: %v\n%s", p.cmd.Path, p.err, p.tail())
		}
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		t.Errorf("%s did not stop within 15 s\n%s", p.cmd.Path, p.tail())
		p.kill()
	}
}

func (p *process) kill() {
	p.killed = true
	p.cmd.Process.Kill()
	<-p.done
}

func (p *process) tail() []byte {
	b, _ := os.ReadFile(p.log)
	return b[max(0, len(b)-4000):]
}

// startPortal starts the sample portal as this gate's upstream.
func (g *Gate) startPortal() {
	g.t.Helper()
	g.Upstream = "127.0.0.1:" + FreePort(g.t)
	p := g.run("portal.log", BuildPortal(g.t), "-listen", g.Upstream, "-issuer", g.URL)
	g.t.Cleanup(func() { p.stop(g.t) })
	Wait(g.t, "the portal", func() bool {
		conn, err := net.Dial("tcp", g.Upstream)
		if err == nil {
			conn.Close()
			return true
		}
		if p.ended() {
			g.t.Fatalf("the portal ended: %v\n%s", p.err, p.tail())
		}
		return false
	})
}

// wait waits until the gate answers, its store open.
func (g *Gate) wait() {
	g.t.Helper()
	client := http.Client{Transport: g.Transport()}
	defer client.CloseIdleConnections()
	Wait(g.t, "the gate", func() bool {
		if g.gate.ended() {
			g.t.Fatalf("the gate ended: %v\n%s", g.gate.err, g.gate.tail())
		}
		for _, u := range g.answers {
			res, err := client.Get(u)
			if err != nil {
				return false
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return false
			}
		}
		return true
	})
}

// Transport returns a transport that trusts the gate.
func (g *Gate) Transport() *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{RootCAs: g.Roots}
	return tr
}

// certify makes a certificate for localhost.
func (g *Gate) certify() {
	g.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		g.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		g.t.Fatal(err)
	}
	g.CertFile = g.File("cert.pem")
	g.Write("cert.pem", pemText("CERTIFICATE", cert))
	g.Write("key.pem", pemText("PRIVATE KEY", secret))
	g.Roots = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Roots.AddCert(parsed)
}

func pemText(kind string, der []byte) string {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a Buffer takes all
	return b.String()
}
