// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package reloadtest

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/portalgate/portalgate/internal/mail/outbox"
)

// post is the mailboxes of everybody, as one reader sees them.
type post struct {
	mu    sync.Mutex
	links map[string]string // guarded by mu; by address
}

// read reads the inbox over and over.
func (m *post) read(ctx context.Context, inbox string) {
	lone := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		res, err := lone.Get(inbox + "/messages.json")
		if err != nil {
			continue // it is being killed
		}
		var mails []outbox.Entry
		err = json.NewDecoder(res.Body).Decode(&mails)
		res.Body.Close()
		if err != nil {
			continue
		}
		m.mu.Lock()
		for _, e := range mails {
			if m.links == nil {
				m.links = make(map[string]string)
			}
			m.links[e.To] = linkIn(e.Text)
		}
		m.mu.Unlock()
	}
}

// wait returns the link that was mailed to an address; empty if none comes.
func (m *post) wait(ctx context.Context, to string, atMost time.Duration) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(atMost)
	for {
		m.mu.Lock()
		link := m.links[to]
		m.mu.Unlock()
		if link != "" {
			return link
		}
		select {
		case <-tick.C:
		case <-late:
			return ""
		case <-ctx.Done():
			return ""
		}
	}
}
