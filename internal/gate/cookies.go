// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portalgate/portalgate/internal/access"
	"github.com/portalgate/portalgate/internal/seal"
	"github.com/portalgate/portalgate/internal/session"
	"github.com/portalgate/portalgate/providers"
)

// The gate's cookies. The session's holds a token; the others are sealed and
// hold what is half done, so that no gate and no configuration has to.
const (
	maxFlows   = 5
	maxAsked   = 3
	maxKnownIn = 4 // clients one browser is known for

	flowLife  = 24 * time.Hour
	openLife  = time.Hour // of a flow, once a link was opened in it
	knownLife = 180 * 24 * time.Hour
)

// flow is one sign-in that a browser has begun. Forms belong to one.
type flow struct {
	id string
	// Nonce is what makes forms and redemptions this flow's own.
	Nonce []byte `json:"n"`
	// Browser names the browser for limits, the same in all its flows.
	Browser string `json:"b"`
	Made    int64  `json:"c"`
	// Token is the link or stop token that was opened.
	Token string `json:"t,omitempty"`
	Stop  bool   `json:"s,omitempty"`
	// Proved reports that the right address was typed for the stop token.
	Proved bool `json:"p,omitempty"`
	// Away is the method that the attempt is by, if it takes more than one step:
	// that by which the browser was sent to another place, or a program. State
	// is what the method wants to see again, and Claim who it then says that
	// this is, or Refusal why it says nobody.
	Away    string      `json:"w,omitempty"`
	State   []byte      `json:"e,omitempty"`
	Claim   *claimed    `json:"m,omitempty"`
	Refusal *turnedDown `json:"x,omitempty"`
	// Ask is the form that the browser has, unless the method has the same for
	// everybody; Steps how many were answered before it, and Email the address
	// that was typed into one.
	Ask   *providers.Ask `json:"k,omitempty"`
	Steps int            `json:"i,omitempty"`
	Email string         `json:"y,omitempty"`
	// Back and Shared are what was wished for before it went.
	Back   string `json:"r,omitempty"`
	Shared bool   `json:"h,omitempty"`
	// Choose has the other side ask which account is meant, the next time.
	Choose bool `json:"o,omitempty"`
}

func (f *flow) life() time.Duration {
	if f.Token != "" || f.Away != "" {
		return openLife
	}
	return flowLife
}

// asked is the memory of a browser that asked for a link.
type asked struct {
	id   string
	Item string `json:"i"` // of the queue
	Made int64  `json:"c"`
	Life int64  `json:"l"` // of the link, in seconds
	// Address is where the link was to go, Shown what may be shown of it.
	Address string `json:"a"`
	Shown   string `json:"d"`
	Shared  bool   `json:"s,omitempty"`
	// Back is the page to return to, for asking again.
	Back string `json:"r,omitempty"`
	// Again reports that the link was asked for in place of another.
	Again bool `json:"g,omitempty"`
	// Account belongs to whoever uses the link in this browser.
	Account access.Subject `json:"u,omitzero"`
}

// knownTo is one client for whom a browser is known.
type knownTo struct {
	Tag  string `json:"t"`
	ID   []byte `json:"i"`
	Used int64  `json:"u"`
}

// jar is what a request's cookies hold for one gate, and what its answer
// changes about them.
type jar struct {
	base   string
	secure bool
	keys   *keys
	now    time.Time

	arrived bool     // the browser sent at least one cookie of ours
	flows   []*flow  // newest first
	asked   []*asked // newest first
	known   []knownTo
	spoilt  []string // names to be cleared: duplicate, over, or not ours
}

func cookieBase(gate string, secure bool) string {
	if secure {
		return "__Host-portalgate-" + gate
	}
	return "portalgate-" + gate
}

// oneCookie returns the value of the cookie with a name from a request's Cookie
// lines, and whether there was one. A name that comes twice has no value: one
// of the two was planted (RFC 6265bis, 8.6).
func oneCookie(lines []string, name string) (value string, came bool) {
	for _, line := range lines {
		for piece := range strings.SplitSeq(line, ";") {
			n, v, _ := strings.Cut(strings.Trim(piece, " \t"), "=")
			if strings.Trim(n, " \t") != name {
				continue
			}
			if came {
				return "", true
			}
			value, came = v, true
		}
	}
	return value, came
}

// openJar reads the gate's cookies but the session's from a request's Cookie
// lines. As for that one, a name that comes twice is taken for neither.
func openJar(lines []string, gate string, secure bool, k *keys, now time.Time) *jar {
	j := &jar{base: cookieBase(gate, secure), secure: secure, keys: k, now: now}
	values := make(map[string]string)
	r := http.Request{Header: http.Header{"Cookie": lines}}
	for _, c := range r.Cookies() {
		if !j.ours(c.Name) {
			continue
		}
		j.arrived = true
		if _, twice := values[c.Name]; twice || c.Value == "" {
			j.spoilt = append(j.spoilt, c.Name)
			values[c.Name] = ""
			continue
		}
		values[c.Name] = c.Value
	}
	for name, value := range values {
		if value == "" || !j.take(strings.TrimPrefix(name, j.base), value) {
			j.spoilt = append(j.spoilt, name)
		}
	}
	slices.Sort(j.spoilt)
	j.spoilt = slices.Compact(j.spoilt)
	slices.SortFunc(j.flows, func(a, b *flow) int { return newer(a.Made, b.Made, a.id, b.id) })
	slices.SortFunc(j.asked, func(a, b *asked) int { return newer(a.Made, b.Made, a.id, b.id) })
	return j
}

// ours reports whether a cookie is this gate's, not that of another gate with a
// longer name.
func (j *jar) ours(name string) bool {
	rest, ok := strings.CutPrefix(name, j.base)
	return ok && (rest == "" || rest == "-known" ||
		strings.HasPrefix(rest, "-flow-") || strings.HasPrefix(rest, "-asked-"))
}

func newer(a, b int64, ida, idb string) int {
	if a != b {
		return int(min(max(b-a, -1), 1))
	}
	return strings.Compare(ida, idb)
}

// take keeps one cookie if it is good. rest is its name after the base.
func (j *jar) take(rest, value string) bool {
	if rest == "" {
		return true // the session's: see oneCookie
	}
	t := j.now.Unix()
	if id, ok := strings.CutPrefix(rest, "-flow-"); ok {
		f := &flow{id: id}
		if !unsealJSON(j.keys.flow, value, id, f) || t >= f.Made+int64(f.life()/time.Second) {
			return false
		}
		j.flows = append(j.flows, f)
		return true
	}
	if id, ok := strings.CutPrefix(rest, "-asked-"); ok {
		a := &asked{id: id}
		if !unsealJSON(j.keys.asked, value, id, a) || t >= a.Made+a.Life {
			return false
		}
		j.asked = append(j.asked, a)
		return true
	}
	if rest == "-known" {
		return unsealJSON(j.keys.known, value, "", &j.known)
	}
	return false
}

// flow returns the flow with an id, or nil.
func (j *jar) flow(id string) *flow {
	for _, f := range j.flows {
		if f.id == id {
			return f
		}
	}
	return nil
}

// withToken returns the newest flow in which a link (or stop link) was opened.
func (j *jar) withToken(stop bool) *flow {
	for _, f := range j.flows {
		if f.Token != "" && f.Stop == stop {
			return f
		}
	}
	return nil
}

// newest returns the browser's newest flow that is not away, or begins one.
func (j *jar) newest(w http.ResponseWriter) *flow {
	for _, f := range j.flows {
		if f.Away == "" {
			return f
		}
	}
	return j.begin(w, &flow{})
}

// begin starts a flow with what f says already.
func (j *jar) begin(w http.ResponseWriter, f *flow) *flow {
	return j.add(w, j.name(f))
}

// name gives a flow what makes it one of its own. No browser has it yet.
func (j *jar) name(f *flow) *flow {
	f.id, f.Nonce, f.Made = randomID(), randomBytes(session.SecretSize), j.now.Unix()
	if len(j.flows) > 0 {
		f.Browser = j.flows[0].Browser
		f.Made = max(f.Made, j.flows[0].Made+1) // the newest, also within one second
	} else {
		f.Browser = randomID() + randomID()
	}
	return f
}

// add gives the browser a flow.
func (j *jar) add(w http.ResponseWriter, f *flow) *flow {
	for len(j.flows) >= maxFlows {
		j.clear(w, "-flow-"+j.flows[len(j.flows)-1].id)
		j.flows = j.flows[:len(j.flows)-1]
	}
	j.flows = append([]*flow{f}, j.flows...)
	j.setFlow(w, f)
	return f
}

func (j *jar) setFlow(w http.ResponseWriter, f *flow) {
	j.set(w, "-flow-"+f.id, sealJSON(j.keys.flow, f, f.id), 0)
}

// endFlow is done with a flow.
func (j *jar) endFlow(w http.ResponseWriter, f *flow) { j.clear(w, "-flow-"+f.id) }

// remember makes this the browser that asked for a link.
func (j *jar) remember(w http.ResponseWriter, a *asked) {
	a.id, a.Made = randomID(), j.now.Unix()
	if len(j.asked) > 0 {
		a.Made = max(a.Made, j.asked[0].Made+1) // the newest, also within one second
	}
	for len(j.asked) >= maxAsked {
		j.clear(w, "-asked-"+j.asked[len(j.asked)-1].id)
		j.asked = j.asked[:len(j.asked)-1]
	}
	life := time.Duration(a.Life) * time.Second
	if a.Shared {
		life = 0
	}
	j.set(w, "-asked-"+a.id, sealJSON(j.keys.asked, a, a.id), life)
}

// askedFor returns the memory of having asked for the link with this hash.
func (j *jar) askedFor(h access.Hash) *asked {
	for _, a := range j.asked {
		if j.keys.linkHash(a.Item) == h {
			return a
		}
	}
	return nil
}

// knownAs returns the hash by which this browser would be known to the client
// with this tag; empty if it has no claim to be.
func (j *jar) knownAs(tag string) access.Hash {
	for _, k := range j.known {
		if k.Tag == tag {
			return access.HashOf(k.ID)
		}
	}
	return ""
}

// know has the browser known to a client from now on, by the id it has for
// that client or by one of this flow, the same however often the answer is
// repeated. Nothing is set until setKnown.
func (j *jar) know(tag string, f *flow) access.Hash {
	id := seal.MAC(j.keys.session, "known", tag, string(f.Nonce))[:16]
	j.known = slices.DeleteFunc(j.known, func(k knownTo) bool {
		if k.Tag == tag {
			id = k.ID
		}
		return k.Tag == tag
	})
	j.known = append([]knownTo{{tag, id, j.now.Unix()}}, j.known...)
	j.known = j.known[:min(len(j.known), maxKnownIn)]
	return access.HashOf(id)
}

func (j *jar) setKnown(w http.ResponseWriter) {
	j.set(w, "-known", sealJSON(j.keys.known, j.known, ""), knownLife)
}

// set sets a cookie; a life of zero dies with the browser.
func (j *jar) set(w http.ResponseWriter, rest, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: j.base + rest, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: j.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (j *jar) clear(w http.ResponseWriter, rest string) {
	http.SetCookie(w, &http.Cookie{
		Name: j.base + rest, Path: "/", MaxAge: -1,
		Secure: j.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// openJar opens the jar of the visit, unless it is open.
func (v *visit) openJar() {
	if v.jar == nil {
		v.jar = openJar(v.cookies, v.Name, v.secure(), &v.eng.keys, v.now)
	}
}

// sweep clears the cookies that cannot be used.
func (v *visit) sweep() {
	v.openJar()
	v.jar.sweep(v.w)
}

// sweep clears what cannot be used.
func (j *jar) sweep(w http.ResponseWriter) {
	for _, name := range j.spoilt {
		j.clear(w, strings.TrimPrefix(name, j.base))
	}
}

func sealJSON(b *seal.Box, v any, place string) string {
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false) // a cookie has no room for six bytes in the place of a "&"
	if err := e.Encode(v); err != nil {
		panic("gate: " + err.Error()) // plain data always encodes
	}
	return base64.RawURLEncoding.EncodeToString(b.Seal(data.Bytes(), place))
}

func unsealJSON(b *seal.Box, s, place string, v any) bool {
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return false
	}
	if data, err = b.Open(data, place); err != nil {
		return false
	}
	return json.Unmarshal(data, v) == nil
}
