// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package programtest

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/testgate"
)

func proof() bool { return os.Getenv("PORTALGATE_PROOF") == "1" }

var hiddenRE = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// person is a client with a browser of their own. Each time that they come, it has
// opened new connections.
type person struct {
	mu  sync.Mutex
	jar http.CookieJar // guarded by mu
}

// signIn is somebody's first visit.
func signIn(base string, n int, again func()) error { return new(person).signIn(base, n, again) }

// signIn signs a client in to the sample portal and returns why it could not.
func (p *person) signIn(base string, n int, again func()) error {
	body, err := p.visit(base, "card", n, "/api/me", again)
	if err == nil && !strings.Contains(body, fmt.Sprintf(`"id":"client-%d"`, n)) {
		err = fmt.Errorf("signed in as another: %.60q", body)
	}
	return err
}

// visit signs a client in by their card and returns the page that they wanted to
// see. A request that a server has taken with it when it went, or has cut off
// (499), is sent again, as people do; again counts those.
func (p *person) visit(base, method string, n int, to string, again func()) (page string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jar == nil {
		p.jar, _ = cookiejar.New(nil) // without options it cannot fail
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := http.Client{Jar: p.jar, Transport: tr, Timeout: 20 * time.Second}
	do := func(path string, form url.Values) (status int, body string, err error) {
		for range 3 {
			var res *http.Response
			if form == nil {
				res, err = c.Get(base + path)
			} else {
				res, err = c.PostForm(base+path, form)
			}
			if err != nil {
				again()
				continue
			}
			var b []byte
			b, err = io.ReadAll(res.Body)
			res.Body.Close()
			return res.StatusCode, string(b), err
		}
		return 0, "", err
	}
	status, body, err := do("/sign-in/m/"+method+"?return_to="+to, nil)
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("the form: %d, %v", status, err)
	}
	form := url.Values{"card": {fmt.Sprint(n)}}
	for _, m := range hiddenRE.FindAllStringSubmatch(body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	status, body, err = do("/sign-in/m/"+method, form)
	if err == nil && status == 499 {
		again()
		status, body, err = do(to, nil)
	}
	if err != nil || status != http.StatusOK {
		_, words, _ := strings.Cut(body, "<main>")
		return "", fmt.Errorf("signing in: %d, %v, %.60q %.300q", status, err, body, words)
	}
	return body, nil
}

// TestG02_ReplacedUnderLoad replaces the program's file and reloads, over and
// over, while people sign in by it: no sign-in fails, and no program stays
// behind. The full size, with PORTALGATE_PROOF=1, is 100 sign-ins a second.
func TestG02_ReplacedUnderLoad(t *testing.T) {
	perSecond, reloads, every := 20, 4, 500*time.Millisecond
	if proof() {
		perSecond, reloads, every = 100, 20, time.Second
	}
	// Enough that nobody comes all the time; and they come back in the browser
	// that is known, for each notice of a new one is a mail.
	const clients = 1000
	people := make([]person, clients)
	p := newProgram(t)
	g := testgate.Start(t, options(p, "", clients))
	if err := signIn(g.URL, 0, func() {}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var failed []string
	sent, repeated := 0, 0
	began, stop := time.Now(), make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for ; n < int(time.Since(began).Seconds()*float64(perSecond)); n++ { // a busy machine drops ticks
				// Its own copy: with n, those that one tick of a busy machine starts would
				// all be the same client, more often at once than any person comes.
				who := n % clients
				load.Go(func() {
					err := people[who].signIn(g.URL, who, func() {
						mu.Lock()
						defer mu.Unlock()
						repeated++
					})
					mu.Lock()
					defer mu.Unlock()
					if sent++; err != nil {
						failed = append(failed, err.Error())
					}
				})
			}
		}
	})
	for range reloads {
		time.Sleep(every)
		p.replace()
		if err := g.Reload(g.Caddyfile(options(p, "", clients))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(every)
	close(stop)
	took := time.Since(began)
	load.Wait()
	t.Logf("proof: %d sign-ins, %.0f a second, %d reloads with another binary: %d failed; %d requests were sent again because the server that had their connection was gone",
		sent, float64(sent)/took.Seconds(), reloads, len(failed), repeated)
	if len(failed) > 0 {
		slices.Sort(failed)
		t.Errorf("%d of %d sign-ins failed: %v\n%s", len(failed), sent, slices.Compact(failed), complaints(g))
	}
	if n := starts(g); n != reloads+1 {
		t.Errorf("%d programs were started for %d files", n, reloads+1)
	}
	testgate.Wait(t, "the programs before to end", func() bool { return len(p.running()) == 1 })
}

// complaints are the last that a gate's log has.
func complaints(g *testgate.Gate) string {
	var all []string
	for line := range strings.SplitSeq(g.Log(), "\n") {
		if strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"warn"`) && strings.Contains(line, `"logger":"portalgate`) {
			all = append(all, line)
		}
	}
	return strings.Join(append(all[max(0, len(all)-20):], limitsHit(g)...), "\n")
}

// limitsHit is which of a gate's limits have refused something.
func limitsHit(g *testgate.Gate) (hit []string) {
	res, err := http.Get(g.Admin + "/metrics")
	if err != nil {
		return []string{err.Error()}
	}
	defer res.Body.Close()
	all, _ := io.ReadAll(res.Body)
	for line := range strings.SplitSeq(string(all), "\n") {
		if strings.HasPrefix(line, "portalgate_limits_hit_total") && !strings.HasSuffix(line, " 0") {
			hit = append(hit, line)
		}
	}
	return hit
}

// TestG02_UnchangedGoesOn: a reload that is about something else restarts no
// program, one that is refused changes nothing, and `validate` starts none. When
// the server has ended, nothing is left of it.
func TestG02_UnchangedGoesOn(t *testing.T) {
	testgate.Build(t) // for every test, so not there
	testgate.BuildPortal(t)
	temp, err := os.MkdirTemp("", "gate") // a short name: sockets go below it
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	p := newProgram(t)
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(temp, "*plugin*"))
		if left = append(left, p.running()...); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		os.RemoveAll(temp)
	})
	o := options(p, "", 3)
	g := testgate.Start(t, o)
	if err := signIn(g.URL, 1, func() {}); err != nil {
		t.Fatal(err)
	}
	before := p.running()
	if out, err := g.Command("validate", "--config", g.File("Caddyfile"), "--adapter", "caddyfile").CombinedOutput(); err != nil {
		t.Fatalf("validate: %v\n%s", err, out)
	}
	for n := range 5 {
		o.Gate = fmt.Sprintf("session {\nidle %dm\n}\n", 20+n) + options(p, "", 3).Gate
		if err := g.Reload(g.Caddyfile(o)); err != nil {
			t.Fatal(err)
		}
	}
	broken := o
	broken.Gate += "templates " + filepath.Join(g.Dir, "nowhere") + "\n"
	if err := g.Reload(g.Caddyfile(broken)); err == nil {
		t.Error("a broken configuration was taken")
	}
	if err := signIn(g.URL, 2, func() {}); err != nil {
		t.Error(err)
	}
	if after := p.running(); len(before) != 1 || !slices.Equal(before, after) || starts(g) != 1 {
		t.Errorf("the program ran as %v, after reloads as %v, and was started %d times", before, after, starts(g))
	}
}

// TestG01_BrokenBinary: a program that cannot run costs its own way in. The
// server starts, reloads and signs in by the others, and when the program is
// mended, that way is back.
func TestG01_BrokenBinary(t *testing.T) {
	p := newProgram(t)
	p.spoil()
	g := testgate.Start(t, options(p, "", 3))
	testgate.Wait(t, "the page to say so", func() bool {
		return strings.Contains(g.Visitor().Get("/sign-in").Body, "is not working right now")
	})
	g.SignIn("c1@example.com")
	if page := g.Visitor().Get("/sign-in/m/card"); page.Status != http.StatusServiceUnavailable || !strings.Contains(page.Body, "/sign-in/magic-link") {
		t.Errorf("its own page: %d %s", page.Status, page.Body)
	}
	p.replace()
	if err := g.Reload(g.Caddyfile(options(p, "", 3))); err != nil {
		t.Fatal(err)
	}
	if err := signIn(g.URL, 2, func() {}); err != nil {
		t.Errorf("mended: %v\n%s", err, complaints(g))
	}
	// Swapped after it was written down: the next server does not run it, and
	// says so at once.
	was := g.Caddyfile(options(p, "", 3))
	p.spoil()
	if err := g.Reload(was); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a swapped file is taken: %v", err)
	}
	if err := signIn(g.URL, 2, func() {}); err != nil {
		t.Errorf("while the file is another: %v", err)
	}
}
