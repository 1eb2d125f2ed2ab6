// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// Command portal-go is a small client portal that stands behind Portalgate.
// It has no sign-in, no passwords and no cookies of its own: the gate in front
// of it lets only clients through and says with every request who it is, in a
// signed header that one line below verifies.
//
// It listens on loopback only, and refuses whatever did not come through the
// gate.
package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"mime"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/coder/websocket"

	"github.com/portalgate/portalgate/identity"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address to listen on")
	issuer := flag.String("issuer", "http://localhost:8080", "public URL of the gate")
	audience := flag.String("audience", "", "this portal's name in the gate's configuration (default: the same as -issuer)")
	flag.Parse()

	verifier, err := identity.New(identity.Options{Issuer: *issuer, Audience: *audience})
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := &http.Server{
		Addr:              *listen,
		Handler:           portal(verifier.Protect),
		ReadHeaderTimeout: 10 * time.Second,
	}
	context.AfterFunc(ctx, func() { server.Close() })
	log.Printf("the portal listens on %s, behind %s", *listen, *issuer)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

//go:embed assets
var assets embed.FS

var pages = template.Must(template.ParseFS(assets, "assets/*.html"))

// portal returns the whole portal. Everything but the style sheet is behind
// protect, which is the verifier's middleware.
func portal(protect func(http.Handler) http.Handler) http.Handler {
	private := http.NewServeMux()
	private.HandleFunc("GET /{$}", home)
	private.HandleFunc("GET /messages", messages)
	private.HandleFunc("GET /form", form)
	private.HandleFunc("POST /form", form)
	private.HandleFunc("GET /live", live)
	private.HandleFunc("GET /api/me", me)
	private.HandleFunc("GET /ws", echo)
	private.HandleFunc("GET /events", clock)

	mux := http.NewServeMux()
	mux.Handle("GET /assets/", http.FileServerFS(assets)) // "public /assets/*" at the gate
	mux.Handle("/", protect(http.NewCrossOriginProtection().Handler(private)))
	return mux
}

// show writes one page.
func show(w http.ResponseWriter, r *http.Request, page, title string, data any) {
	who, _ := identity.From(r.Context())
	var body bytes.Buffer
	err := pages.ExecuteTemplate(&body, page, map[string]any{
		"Who": who, "Title": title, "Path": r.URL.Path, "Data": data,
	})
	if err != nil {
		log.Print(err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	w.Write(body.Bytes())
}

// row is a line of a table.
type row struct{ Name, Value string }

// home greets the client and shows what the gate said about them.
func home(w http.ResponseWriter, r *http.Request) {
	who, _ := identity.From(r.Context())
	name, _ := new(mime.WordDecoder).DecodeHeader(r.Header.Get(identity.HeaderName))
	show(w, r, "home.html", "Home", map[string]any{
		"Signed": []row{
			{"sub", who.Subject},
			{"email", who.Email},
			{"name", who.Name},
			{"sid", who.Session},
			{"amr", fmt.Sprint(who.AMR)},
			{"auth_time", who.AuthTime.UTC().Format(time.RFC3339)},
		},
		// For programs that cannot verify a signature. They are worth what the
		// network between the gate and the portal is worth.
		"Unsigned": []row{
			{identity.HeaderUser, r.Header.Get(identity.HeaderUser)},
			{identity.HeaderEmail, r.Header.Get(identity.HeaderEmail)},
			{identity.HeaderName, name},
		},
	})
}

func messages(w http.ResponseWriter, r *http.Request) {
	show(w, r, "messages.html", "Messages", []struct{ From, Subject, Text string }{
		{"Front desk", "Your next visit", "We look forward to seeing you on Tuesday at 10."},
		{"Front desk", "New opening hours", "From next month we are here until 7 in the evening."},
	})
}

func live(w http.ResponseWriter, r *http.Request) { show(w, r, "live.html", "Live", nil) }

// me answers programs.
func me(w http.ResponseWriter, r *http.Request) {
	who, _ := identity.From(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(map[string]any{"id": who.Subject, "email": who.Email, "name": who.Name})
}

// echo sends back what it is sent, until either side or the gate hangs up.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil) // refuses a foreign Origin
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, data, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}

// clock sends the time, now and every second.
func clock(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := time.Now(); ; {
		fmt.Fprintf(w, "data: %s\n\n", now.UTC().Format(time.RFC3339))
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case now = <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
