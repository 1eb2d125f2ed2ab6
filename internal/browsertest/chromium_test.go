// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/portalgate/portalgate/internal/testgate"
)

// One Chromium serves all tests; each profile in it is a browser of its own,
// with its own cookies.
var shared = sync.OnceValues(func() (chromium, error) {
	c, err := launch("")
	stopShared = c.stop
	return c, err
})

var stopShared func()

type chromium struct {
	ctx  context.Context
	stop func()
}

func TestMain(m *testing.M) {
	// These tests wait for a browser, one for a whole minute, more than they
	// work: four at once on two processors take two thirds of the time.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	status := testgate.Main(m)
	if stopShared != nil {
		stopShared()
	}
	os.Exit(status)
}

// launch starts a Chromium on the profile in dir; an empty dir is a new one.
func launch(dir string) (chromium, error) {
	path, err := findChromium()
	if err != nil {
		return chromium{}, err
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU}
	for _, name := range []string{
		"disable-quic", "no-first-run", "no-default-browser-check", "disable-background-networking",
		"disable-component-update", "disable-sync", "disable-extensions", "disable-default-apps",
		"disable-backgrounding-occluded-windows", "disable-renderer-backgrounding", "disable-background-timer-throttling",
	} {
		options = append(options, chromedp.Flag(name, true))
	}
	if dir != "" {
		options = append(options, chromedp.UserDataDir(dir))
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	// What Chromium sends and this library does not know is no concern of ours.
	ctx, stop := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}), chromedp.WithLogf(func(string, ...any) {}))
	c := chromium{ctx: ctx, stop: func() { stop(); stopAlloc() }}
	if err := chromedp.Do(ctx); err != nil {
		c.stop()
		return chromium{}, fmt.Errorf("starting %s: %v", filepath.Base(path), err)
	}
	return c, nil
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium in PATH, which these tests drive: install chromium")
}

// profile is one person's browser.
type profile struct {
	t     testing.TB
	first *tab
}

// newProfile returns a browser that has never been anywhere.
func newProfile(t testing.TB, options ...chromedp.CreateBrowserContextOption) *profile {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c.profile(t, chromedp.WithNewBrowserContext(options...))
}

func (c chromium) profile(t testing.TB, options ...chromedp.ContextOption) *profile {
	t.Helper()
	p := &profile{t: t}
	p.first = p.attach(c.ctx, options...)
	return p
}

// tab opens another tab.
func (p *profile) tab() *tab {
	p.t.Helper()
	return p.attach(p.first.ctx)
}

// attach opens a tab and listens to it from its first moment.
func (p *profile) attach(parent context.Context, options ...chromedp.ContextOption) *tab {
	p.t.Helper()
	b := &tab{t: p.t, profile: p}
	ctx, cancel := chromedp.NewContext(parent, append(options, chromedp.WithListener(b.heard))...)
	p.t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		p.t.Fatalf("opening a tab: %v", err)
	}
	return b
}

// popup presses something that opens a window, and returns the window.
func (b *tab) popup(press func()) *tab {
	b.t.Helper()
	before := b.profile.pages()
	press()
	var opened target.ID
	testgate.Wait(b.t, "a window to open", func() bool {
		for id := range b.profile.pages() {
			if !before[id] {
				opened = id
			}
		}
		return opened != ""
	})
	return b.profile.attach(b.ctx, chromedp.WithTargetID(opened))
}

// pages returns the windows and tabs of this profile.
func (p *profile) pages() map[target.ID]bool {
	p.t.Helper()
	all, err := chromedp.Targets(p.first.ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	pages := make(map[target.ID]bool)
	for _, i := range all {
		if i.Type == "page" && i.BrowserContextID == chromedp.FromContext(p.first.ctx).BrowserContextID {
			pages[i.TargetID] = true
		}
	}
	return pages
}

// command sends one command of the protocol for which chromedp has no name.
func command[P, R any](ctx context.Context, c cdp.Command[P, R], params P) error {
	_, err := ask(ctx, c, params)
	return err
}

func ask[P, R any](ctx context.Context, c cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, c, params)
	})
}

func pointer[T any](v T) *T { return &v }
