// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// patient is one gate, and the places in a configuration where it is.
type patient struct {
	name string
	url  *url.URL
	gate struct {
		PublicURL string `json:"public_url"`
		Path      string `json:"path"`
		Secret    string `json:"secret"`
		Store     struct {
			Redis json.RawMessage `json:"redis"`
		} `json:"store"`
		Mail struct {
			Outbox bool `json:"outbox"`
		} `json:"mail"`
		UnknownEmail string   `json:"unknown_email"`
		SignIn       []method `json:"sign_in"`
	}
	seen sights
}

// method is what matters here of a sign-in method.
type method struct {
	Method   string `json:"method"`
	Name     string `json:"name"`
	Reattach string `json:"reattach"`
	MTLS     string `json:"mtls"`
}

// sights are what was seen on the way through all routes.
type sights struct {
	gate    string
	desks   []desk
	servers []server
	public  []string           // paths of the gate's that need no sign-in
	proxies map[string][]visit // by what is dialled
}

// server is one that the gate is in.
type server struct {
	name           string
	TrustedProxies *struct {
		Source string   `json:"source"`
		Ranges []string `json:"ranges"`
	} `json:"trusted_proxies"`
	Strict int `json:"trusted_proxies_strict"`
}

// desk is a place where staff are served.
type desk struct {
	handler
	visit
}

// visit is what a request has come through on its way to a place.
type visit struct {
	at    string          // the site, or where the server listens
	auth  bool            // past an authenticator
	gates map[string]bool // past these gates
}

type route struct {
	Match  []map[string]json.RawMessage `json:"match"`
	Handle []handler                    `json:"handle"`
}

// handler is what matters here of all the handlers that there are.
type handler struct {
	Handler    string   `json:"handler"`
	Gate       string   `json:"gate"`
	Public     []string `json:"public"`
	StaffGate  string   `json:"staff_gate"`
	ClientCert bool     `json:"client_cert"`
	Allow      []string `json:"allow"`
	Routes     []route  `json:"routes"`
	Upstreams  []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	HandleResponse []struct {
		Routes []route `json:"routes"`
	} `json:"handle_response"`
}

const usualGate = "main"

// read finds a gate in a configuration.
func read(config []byte, gate string) (*patient, error) {
	var all struct {
		Apps struct {
			Portalgate struct {
				Gates map[string]json.RawMessage `json:"gates"`
			} `json:"portalgate"`
			HTTP struct {
				Servers map[string]struct {
					Listen []string `json:"listen"`
					Routes []route  `json:"routes"`
					server
				} `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, fmt.Errorf("reading the configuration that runs: %v", err)
	}
	p := &patient{name: gate, seen: sights{gate: gate, proxies: make(map[string][]visit)}}
	raw, ok := all.Apps.Portalgate.Gates[gate]
	if !ok {
		return nil, fmt.Errorf("there is no gate %q in the configuration that runs", gate)
	}
	err := json.Unmarshal(raw, &p.gate)
	if err == nil {
		p.url, err = url.Parse(p.gate.PublicURL)
	}
	if err != nil {
		return nil, fmt.Errorf("reading gate %q: %v", gate, err)
	}
	p.gate.Path = cmp.Or(p.gate.Path, "/sign-in")
	for i := range p.gate.SignIn {
		m := &p.gate.SignIn[i]
		m.Name = cmp.Or(m.Name, m.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(all.Apps.HTTP.Servers)) {
		s := all.Apps.HTTP.Servers[name]
		if p.seen.walk(s.Routes, visit{at: strings.Join(s.Listen, ", ")}) {
			s.server.name = name
			p.seen.servers = append(p.seen.servers, s.server)
		}
	}
	if len(p.seen.servers) == 0 {
		return nil, errors.New("the gate is in no site's routes; add a line to the site that it guards: portalgate")
	}
	return p, nil
}

// walk goes through routes as a request does, and reports whether it met the
// gate. What has a matcher is passed by some requests only, so that it guards
// what is in it and nothing after.
func (s *sights) walk(routes []route, v visit) (met bool) {
	for _, r := range routes {
		here := visit{at: v.at, auth: v.auth, gates: maps.Clone(v.gates)}
		for _, m := range r.Match {
			var hosts []string
			if json.Unmarshal(m["host"], &hosts) == nil && len(hosts) > 0 {
				here.at = strings.Join(hosts, ", ")
			}
		}
		for _, h := range r.Handle {
			switch {
			case h.Handler == "portalgate":
				name := cmp.Or(h.Gate, usualGate)
				if here.gates == nil {
					here.gates = make(map[string]bool)
				}
				here.gates[name] = true
				if name == s.gate {
					met = true
					s.public = append(s.public, h.Public...)
				}
			case h.Handler == "portalgate_staff":
				if cmp.Or(h.Gate, usualGate) == s.gate {
					s.desks = append(s.desks, desk{h, visit{here.at, here.auth, maps.Clone(here.gates)}})
				}
			case h.Handler == "reverse_proxy":
				for _, u := range h.Upstreams {
					s.proxies[u.Dial] = append(s.proxies[u.Dial], visit{here.at, here.auth, maps.Clone(here.gates)})
				}
			case strings.HasPrefix(h.Handler, "auth"): // authentication, and what others call it
				here.auth = true
			}
			met = s.walk(h.Routes, here) || met
			for _, answered := range h.HandleResponse {
				met = s.walk(answered.Routes, here) || met
			}
		}
		if len(r.Match) == 0 {
			v = here
		}
	}
	return met
}

// wide reports whether a range of trusted proxies takes in half the world.
func wide(r string) bool {
	p, err := netip.ParsePrefix(r)
	if err != nil {
		return false // one address, or a placeholder
	}
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() {
		a, bits = a.Unmap(), bits-96
	}
	switch {
	case a.IsPrivate(), a.IsLoopback():
		return false
	case a.Is4():
		return bits < 12
	}
	return bits < 28
}
