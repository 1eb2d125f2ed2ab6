// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// A return path is chosen by whoever asks for a link, and asking takes no more
// than a client's address. Written as json.Marshal writes it, one path of 512
// ampersands is 3 072 bytes: that made Encode panic, in the worker, again and
// again, and paths of any kind pushed the client's sessions out of the record.
func TestAskingForLinksEndsNoSession(t *testing.T) {
	for _, c := range []string{"a", "&", "<", `"`, "\x01", "\xff", "\u2028"} {
		r := record(0)
		signIns(r, 18, false)
		now := after(time.Minute)
		for i := range 40 {
			l := Link{Hash: name("asked", i), Made: now.Unix(), Expires: now.Add(day).Unix()}
			l.ReturnTo = "/" + strings.Repeat(c, (maxReturn-1)/len(c))
			if got := r.AddLink(now, l); got != Live {
				t.Fatalf("%q: AddLink %d = %q", c, i, got)
			}
			data, _ := r.Encode(now)
			if len(data) > MaxSize {
				t.Fatalf("%q: %d bytes", c, len(data))
			}
			now = now.Add(2 * time.Second)
		}
		if n := len(r.Live(now, usual)); n != 18 {
			t.Errorf("%q: %d of 18 sessions are live", c, n)
		}
		for i := range 40 {
			if _, got, _ := r.Look(now, name("asked", i)); (got == Live) != (i >= 37) {
				t.Errorf("%q: link %d is %q", c, i, got)
			}
		}
	}
}

// What is read to people comes from a browser: it is bounded, and whole.
func TestKindIsBounded(t *testing.T) {
	r := record(1)
	in := press(0, "a")
	in.Kind, in.Method = strings.Repeat("ä", 5000), strings.Repeat("m", 5000)
	s, _, state := r.Redeem(start, in)
	if state != Live || s.Kind != strings.Repeat("ä", maxKind/2) || len(s.Method) != maxKind {
		t.Errorf("Redeem = %q, kind of %d bytes, method of %d", state, len(s.Kind), len(s.Method))
	}
	in.Kind = "x" + in.Kind
	if got := clip(in.Kind, maxKind); got != "x"+strings.Repeat("ä", maxKind/2-1) {
		t.Errorf("a letter cut in two is kept: %q", got)
	}
}

func TestReturnPathIsBounded(t *testing.T) {
	for n, want := range map[int]int{maxReturn: maxReturn, maxReturn + 1: 0} {
		r := record(0)
		r.AddLink(start, Link{Hash: here, Made: start.Unix(), Expires: after(day).Unix(), ReturnTo: strings.Repeat("/", n)})
		if l, _, _ := r.Look(start, here); len(l.ReturnTo) != want {
			t.Errorf("a return path of %d bytes is kept with %d, want %d", n, len(l.ReturnTo), want)
		}
	}
	for n, want := range map[int]int{128: 128, 129: 0} {
		r := record(0)
		r.AddLink(start, Link{Hash: here, Made: start.Unix(), Expires: after(day).Unix(), ReturnTo: strings.Repeat("/", n)})
		r.Redeem(start, Redemption{Link: here, Session: here, Lifetimes: usual})
		if _, _, past := r.Look(start, here); len(past.ReturnTo) != want {
			t.Errorf("of a used link %d bytes are remembered with %d, want %d", n, len(past.ReturnTo), want)
		}
	}
}

// A record may be dropped once no link that it has forgotten could be taken on
// again, and no sooner.
func TestRecordExpires(t *testing.T) {
	r := record(0)
	long := Link{Hash: here, Made: start.Unix(), Expires: after(5 * pastLife).Unix()}
	r.AddLink(start, long)
	r.StopLink(start, here)
	r.Past, r.Events, r.Forgot = nil, nil, start.Unix()
	_, expires := r.Encode(start)
	if expires.Before(after(pastLife)) || expires.After(after(pastLife+time.Minute)) {
		t.Errorf("it expires %v after what it forgot, want %v", expires.Sub(start), pastLife)
	}
	if got := new(Record).AddLink(expires, long); got != Expired {
		t.Errorf("AddLink after that = %q, want %q", got, Expired)
	}
}

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		data string
		err  bool
	}{{"", false}, {`{"v":1,"i":"c"}`, false}, {`{"v":1,"later":true}`, false}, {`{`, true}, {`[]`, true}, {`{"v":3}`, false}, {`{"v":4}`, true}} {
		if _, err := Decode([]byte(tc.data)); (err != nil) != tc.err {
			t.Errorf("Decode(%s): %v", tc.data, err)
		}
	}
	if r, err := Decode([]byte(`{"v":4,"i":"ada"}`)); !errors.Is(err, ErrNewer) || r == nil || r.Client != "ada" {
		t.Errorf("Decode of a neighbour's record: %v, %v, want it with ErrNewer", r, err)
	}
	if r, err := Decode([]byte(`{"v":5}`)); !errors.Is(err, ErrNewer) || r != nil {
		t.Errorf("Decode of a newer record: %v, %v, want ErrNewer", r, err)
	}
}

// FuzzDecode shows that no bytes make a record that cannot be read, asked,
// changed or stored again.
func FuzzDecode(f *testing.F) {
	full := record(0)
	signIns(full, 21, false)
	full.AddLink(start, Link{Hash: here, Made: start.Unix(), Expires: after(day).Unix(), ReturnTo: "/?a=1&b=2"})
	data, _ := full.Encode(start)
	f.Add(data)
	for _, seed := range []any{
		Record{Version: -1, Client: strings.Repeat("\x00", MaxSize)},
		Record{Address: Hash(strings.Repeat("a", MaxSize)), WrongCodes: 1 << 40},
		Record{Known: []Known{{Hash(strings.Repeat("a", MaxSize)), start.Unix()}}},
		Record{Sessions: []Session{{Hash: here, Ended: 1, Why: ""}, {Hash: here, Made: 1 << 62, Used: 1 << 62, Dead: 1 << 62, Idle: 1 << 62}}},
		Record{Past: []Past{{Hash: here, State: Live, At: 1 << 62}, {Hash: here, State: Used, At: -1 << 62}}},
		Record{Links: []Link{{Hash: here, Made: -1 << 63, Expires: 1<<63 - 1, Wrong: -5, ReturnTo: strings.Repeat("\x01", MaxSize)}}},
	} {
		data, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`null`))
	f.Add([]byte(`{"v":1,"l":[{},{},{},{},{}],"s":[{"e":1}],"k":[{}],"p":[{}],"e":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		over := map[Hash]bool{}
		for _, s := range r.Sessions {
			first, ok := r.Session(s.Hash)
			over[s.Hash] = ok && first.Over(start, usual) != ""
		}
		again := stored(t, r)
		for _, s := range again.Sessions {
			if first, ok := again.Session(s.Hash); ok && over[s.Hash] && first.Ended != 0 && first.Over(start, usual) == "" {
				t.Error("a session that was over answers")
			}
		}
		r.AddLink(start, Link{Hash: name("new", 0), Made: start.Unix(), Expires: after(day).Unix()})
		in := press(0, "a")
		in.Link = name("new", 0)
		r.Redeem(start, in)
		r.WrongCode(start)
		r.WrongAddress(start, here)
		r.Touch(start, here, usual, 0)
		r.StopLink(start, here)
		r = stored(t, r)
		r.Bind(start, "client", addresses[0])
		r.EndAll(start, here)
		if r = stored(t, r); len(r.Live(start, usual)) > 0 || len(r.Links) > 0 || len(r.Known) > 0 {
			t.Error("something is live after everything was ended")
		}
	})
}

// stored is r after Encode and Decode, within its bound and stable.
func stored(t *testing.T, r *Record) *Record {
	t.Helper()
	data, _ := r.Encode(start)
	if len(data) > MaxSize {
		t.Fatalf("%d bytes", len(data))
	}
	out, err := Decode(data)
	if err != nil {
		t.Fatalf("Decode of what Encode wrote: %v", err)
	}
	if again, _ := out.Encode(start); !bytes.Equal(data, again) {
		t.Fatalf("stored again it is another:\n%s\n%s", data, again)
	}
	return out
}

// BenchmarkRedeem is the work of one write that signs somebody in, on a record
// with as much in it as a busy client has.
func BenchmarkRedeem(b *testing.B) {
	r := record(0)
	signIns(r, 8, false)
	now := after(time.Minute)
	r.AddLink(now, Link{Hash: here, Made: now.Unix(), Expires: now.Add(day).Unix(), ReturnTo: "/appointments?from=mail"})
	data, _ := r.Encode(now)
	in := press(0, "a")
	in.Link, in.Session, in.Browser = here, here, here
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		r, err := Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, fresh, state := r.Redeem(now, in); !fresh {
			b.Fatal(state)
		}
		r.Encode(now)
	}
}
