// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package upstreamtest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/portalgate/portalgate/internal/testgate"
)

func TestMain(m *testing.M) { os.Exit(testgate.Main(m)) }

// program is an example: what runs it, and its file.
type program struct{ name, interpreter, file string }

var programs = []program{
	{"Node", "node", "portal-node/portal.js"},
	{"Python", "/usr/bin/python3", "portal-python/portal.py"}, // the one that Debian's packages are for
	{"PHP", "php", "portal-php/portal.php"},
}

// command is the program with these arguments for it or its interpreter.
func (p program) command(t *testing.T, before, after []string) *exec.Cmd {
	t.Helper()
	interpreter, err := exec.LookPath(p.interpreter)
	if err != nil {
		t.Fatalf("%v; make -f xcaddy.mk test installs it", err)
	}
	file, err := filepath.Abs("../../examples/" + p.file)
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(interpreter, append(append(before, file), after...)...)
}

// start runs the program at a loopback port, with more in its environment, until
// the test is over.
func (p program) start(t *testing.T, port string, env ...string) {
	t.Helper()
	address := "127.0.0.1:" + port
	var flags []string
	if p.name == "PHP" {
		flags = []string{"-S", address}
	}
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := p.command(t, flags, nil)
	cmd.Env = append(append(os.Environ(), "PORT="+port, "KEYS_FILE="+filepath.Join(dir, "keys.json")), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	said := func() []byte {
		b, _ := os.ReadFile(log.Name())
		return b
	}
	t.Cleanup(func() {
		select {
		case err := <-ended:
			t.Errorf("%s ended on its own: %v\n%s", p.name, err, said())
		default:
			cmd.Process.Kill()
			<-ended
		}
	})
	testgate.Wait(t, p.name, func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", p.name, err, said())
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// ask asks the program at a port as nobody but the gate should be able to, with
// assertions as given.
func ask(t *testing.T, port string, assertions ...string) (status int, header http.Header) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range assertions {
		r.Header.Add("Portalgate-Assertion", a)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header
}
