// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"

	"github.com/portalgate/portalgate/internal/testgate"
)

// serve shows the catalogue's pages as they were answered, headers included.
// What a page sends is answered with 204, so that it stays where it is, the
// one that sends itself too.
func (c *catalogue) serve(t testing.TB) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := c.pages[strings.TrimPrefix(r.URL.Path, "/")]
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusNoContent)
		case r.URL.Path == "/sign-in/logo":
			w.Header().Set("Content-Type", "image/svg+xml")
			w.Write(c.logo)
		case p == nil:
			http.NotFound(w, r)
		default:
			for name, values := range p.header {
				if name != "Set-Cookie" && name != "Date" {
					w.Header()[name] = values
				}
			}
			w.Write([]byte(p.body))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// axe is axe-core, from npm.
func axe(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatal("axe-core is not installed; run `npm ci --prefix internal/browsertest`")
	}
	return string(source)
}

// look is one way of looking at a page.
type look struct {
	width, height int64
	dark          bool
	text          int64 // the browser's text size, 16 unless its user needs larger
}

func (l look) String() string {
	s := fmt.Sprint(l.width, "-light")
	if l.dark {
		s = fmt.Sprint(l.width, "-dark")
	}
	if l.text != 16 {
		s += "-large"
	}
	return s
}

// look makes the tab look so. The page stays, and follows.
func (b *tab) look(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	for _, err := range []error{
		command(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600,
		}),
		command(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
		command(b.ctx, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: l.text, Fixed: l.text}}),
	} {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	b.until("the page to look "+l.String(), fmt.Sprintf(`document.documentElement.clientWidth == %d &&
		matchMedia('(prefers-color-scheme: %s)').matches &&
		(e => { e.style.fontSize = 'medium'; document.body.append(e); const size = getComputedStyle(e).fontSize; e.remove(); return size == '%dpx' })(document.createElement('i'))`,
		l.width, scheme, l.text))
}

// findings asks axe, and what axe does not ask: that nothing has to be
// scrolled sideways, and that controls and text have the size we promise.
const findings = `(async small => {
	const found = [];
	const run = await axe.run(document, {
		runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
		rules: { 'target-size': { enabled: true }, 'frame-tested': { enabled: false } },
		resultTypes: ['violations', 'incomplete'],
	});
	for (const v of [...run.violations, ...run.incomplete]) {
		for (const n of v.nodes) found.push(v.id + ': ' + n.html + ' ' + n.failureSummary);
	}
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) found.push('scrolls sideways: ' + root.scrollWidth + ' > ' + root.clientWidth);
	if (!small) return found;
	for (const e of document.querySelectorAll('button, input:not([type=hidden]), label[for], a')) {
		const box = e.getBoundingClientRect();
		if (e.type == 'checkbox' || box.height == 0) continue; // its label is what one presses
		if (e.matches('label') && document.getElementById(e.htmlFor).type != 'checkbox') continue;
		if (e.matches('p a, li a')) { if (!e.matches('.link')) continue; } // a link in a sentence
		if (box.height < 48) found.push('only ' + box.height + ' px high: ' + e.outerHTML);
	}
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || !e.checkVisibility() || e.matches('style, script')) continue;
		const size = parseFloat(getComputedStyle(e).fontSize);
		if (size < 18 * small) found.push('text of ' + size + ' px: ' + e.outerHTML);
	}
	return found;
})`

var (
	narrow = []look{
		{320, 640, false, 16}, {320, 640, true, 16}, {320, 640, false, 32},
	}
	pictured = []look{
		{390, 844, false, 16}, {390, 844, true, 16}, {1280, 800, false, 16}, {1280, 800, true, 16},
	}
	mailed = []look{ // a mail program's pane, and a phone
		{600, 700, false, 16}, {600, 700, true, 16}, {360, 700, false, 16}, {360, 700, true, 16},
	}
)

// examine looks at the page in every way there is.
func (b *tab) examine(name, axe, pictures string, promises bool) {
	b.t.Helper()
	must[any](b, axe+";0")
	for _, l := range narrow {
		b.look(l)
		small := "0"
		if promises {
			small = fmt.Sprint(float64(l.text) / 16)
		}
		for _, f := range must[[]string](b, findings+"("+small+")") {
			b.t.Errorf("%s %v: %s", name, l, f)
		}
	}
	b.photograph(name, pictures, pictured)
}

// photograph takes pictures of the page.
func (b *tab) photograph(name, pictures string, looks []look) {
	b.t.Helper()
	for _, l := range looks {
		b.look(l)
		shot, err := ask(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
			CaptureBeyondViewport: pointer(true), OptimizeForSpeed: pointer(true), Clip: b.whole(l),
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(pictures, fmt.Sprintf("%s-%v.png", name, l)), shot.Data, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// whole is the part of the page to take a picture of: all of it.
func (b *tab) whole(l look) *page.Viewport {
	b.t.Helper()
	height := must[float64](b, "document.documentElement.scrollHeight")
	return &page.Viewport{Width: float64(l.width), Height: max(height, float64(l.height)), Scale: 1}
}

// TestEveryPageCanBeUsedByEverybody shows every page to axe in light and dark,
// on the narrowest phone, with text of twice the size; keeps a picture of each;
// and listens for what breaks the page's own Content-Security-Policy (W08).
func TestEveryPageCanBeUsedByEverybody(t *testing.T) {
	c, source, pictures := everyPage(t), axe(t), pictures(t)
	front := c.serve(t)
	names := make(chan string, len(c.names))
	for _, name := range c.names {
		names <- name
	}
	close(names)
	for _, worker := range []string{"one", "two"} {
		t.Run(worker, func(t *testing.T) {
			t.Parallel()
			b := newProfile(t).first
			for name := range names {
				before := len(b.complaints())
				b.visit(front + "/" + name)
				b.until("the page "+name, "location.pathname == '/"+name+"'")
				b.examine(name, source, pictures, true)
				for _, w := range b.complaints()[before:] {
					t.Errorf("%s: %s", name, w)
				}
			}
		})
	}
}

// emptied is where pictures go, emptied, so that none is left of a page that is
// no more.
var emptied = sync.OnceValues(func() (string, error) {
	dir := filepath.Join("..", "..", "test-artifacts", "pages")
	return dir, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
})

func pictures(t testing.TB) string {
	t.Helper()
	dir, err := emptied()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEveryMailHasAPicture keeps pictures of every mail, as a mail program shows
// it, and its text, for us to look at. None may fetch anything or be large.
func TestEveryMailHasAPicture(t *testing.T) {
	c, pictures, site := everyPage(t), pictures(t), newSite(t)
	b := newProfile(t).first
	for name, m := range c.mails {
		if most := 20 << 10; len(m.HTML) > most {
			t.Errorf("%s: %d bytes of HTML, want %d at most", name, len(m.HTML), most)
		}
		site.page("/"+name, m.HTML)
		b.visit("http://" + site.addr + "/" + name)
		b.until("the mail", "location.pathname == "+quote("/"+name))
		const fetched = "[...performance.getEntriesByType('resource'), ...document.images].map(e => e.name || e.src)" +
			".filter(u => !u.endsWith('/favicon.ico'))" // which the browser wants of every site
		if found := must[[]string](b, fetched); len(found) > 0 {
			t.Errorf("%s fetches or shows %q", name, found)
		}
		b.photograph(name, pictures, mailed)
		if err := os.WriteFile(filepath.Join(pictures, name+".txt"), []byte(m.Text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// TestInboxCanBeUsedByEverybody is the same for the mailbox, as a visitor to
// the demo finds it: empty, with a list, and with a mail open.
func TestInboxCanBeUsedByEverybody(t *testing.T) {
	t.Parallel()
	g := testgate.Start(t, testgate.Options{Clients: person})
	source, pictures := axe(t), pictures(t)
	b := newProfile(t).first
	b.visit(g.Inbox)
	b.sees("Mailbox")
	b.examine("inbox-empty", source, pictures, false)
	owner, _, _ := askFor(t, g, "ada@example.com")
	m := g.Mail("ada@example.com", 1)
	for name, path := range map[string]string{
		"inbox": "/", "inbox-mail": "/m/" + m.ID, "inbox-plain": "/m/" + m.ID + "?plain", "inbox-gone": "/m/gone",
	} {
		b.visit(g.Inbox + path)
		b.until("the mailbox", "location.pathname + location.search == "+quote(path))
		b.examine(name, source, pictures, false)
	}
	if said := append(b.complaints(), owner.first.complaints()...); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}

// TestAxeFindsWhatIsWrong keeps the tests above honest: the same eyes see what
// is wrong with a page where something is.
func TestAxeFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.page("/bad", `<meta name="viewport" content="width=device-width"><body><h1>Bad</h1><img src="data:,"><p style="color:#999;font-size:12px">Hardly to be read</p>
		<div style="width:900px">wide</div><button>low</button><script>throw new Error("x")</script>`)
	b := newProfile(t).first
	b.visit("http://" + site.addr + "/bad")
	b.sees("Bad")
	must[any](b, axe(t)+";0")
	b.look(narrow[0])
	found := strings.Join(must[[]string](b, findings+"(1)"), "\n")
	for _, want := range []string{"image-alt", "color-contrast", "html-has-lang", "scrolls sideways", "px high", "text of 12 px"} {
		if !strings.Contains(found, want) {
			t.Errorf("%s is not found in\n%s", want, found)
		}
	}
	if len(b.complaints()) == 0 {
		t.Error("a script that throws goes unheard")
	}
}
