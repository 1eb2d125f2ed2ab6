// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// maxLogo keeps a page quick on a slow phone, in bytes.
const maxLogo = 100 << 10

// ServeLogo answers with the practice's logo, or 404 if it has none.
func (u *UI) ServeLogo(w http.ResponseWriter, r *http.Request) {
	if u.logoType == "" {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", u.logoType)
	h.Set("Content-Length", strconv.Itoa(len(u.practice.Logo)))
	h.Set("Cache-Control", "public, max-age=3600")
	// An SVG opened by its own address is a document that could run scripts
	// on the portal's origin.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(u.practice.Logo)
	}
}

// sniff says what kind of image a logo is, from its first bytes, for a name
// can lie. It is empty for no logo.
func sniff(logo []byte) (string, error) {
	head := string(logo[:min(len(logo), 1024)])
	switch {
	case len(logo) == 0:
		return "", nil
	case len(logo) > maxLogo:
		return "", fmt.Errorf("the logo has %d KB; it may have %d", (len(logo)+1023)>>10, maxLogo>>10)
	case strings.HasPrefix(head, "\x89PNG\r\n\x1a\n"):
		return "image/png", nil
	case strings.HasPrefix(head, "\xff\xd8\xff"):
		return "image/jpeg", nil
	case len(head) > 12 && head[:4] == "RIFF" && head[8:12] == "WEBP":
		return "image/webp", nil
	case isSVG(head):
		return "image/svg+xml", nil
	}
	return "", errors.New("the logo is not an SVG, PNG, JPEG or WebP image")
}

func isSVG(head string) bool {
	head = strings.TrimSpace(strings.TrimPrefix(head, "\ufeff"))
	return strings.HasPrefix(head, "<svg") ||
		(strings.HasPrefix(head, "<?xml") || strings.HasPrefix(head, "<!")) && strings.Contains(head, "<svg")
}
