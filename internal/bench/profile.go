// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// profileTime is how long the gate is profiled.
const profileTime = 20 * time.Second

// writeProfile writes a CPU profile of the gate, with one session at 8
// connections, to a file for `go tool pprof`.
func writeProfile(ctx context.Context, o options, file string) (err error) {
	h, err := open(ctx, o.binary, crowd{sessions: 1})
	if err != nil {
		return err
	}
	defer func() {
		if e := h.close(); err == nil {
			err = e
		}
	}()
	if err := h.restart(ctx, true); err != nil {
		return err
	}
	cl, err := dial(h.gate.addr, h.host, 8, h.all[0])
	if err != nil {
		return err
	}
	defer cl.close()
	loaded := make(chan error, 1)
	go func() {
		_, err := cl.load(until(h.all, new(atomic.Int64), profileTime+2*time.Second))
		loaded <- err
	}()
	res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", h.gate.admin, profileTime/time.Second))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, res.Body); err != nil {
		return err
	}
	if err := <-loaded; err != nil {
		return err
	}
	return out.Close()
}
