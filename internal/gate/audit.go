// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/portalgate/portalgate/internal/store"
)

var (
	errClosed = fmt.Errorf("the gate is closed: %w", store.ErrUnknown)
	// errRefused marks why a store can never be opened, however often tried.
	errRefused = errors.New("the store cannot be used")
	errMethod  = errors.New("the sign-in method is broken")
)

// audit tells what happened and from where, under one logger name. Clients are
// named by id; an address, a link or a code never goes in.
func (v *visit) audit(what string, fields ...zap.Field) {
	v.rt.audit(v.Config, what, append(fields, zap.String("from", v.front.IP.String()))...)
}

// audit is that for what no request did. What is told is counted.
func (rt *Runtime) audit(c *Config, what string, fields ...zap.Field) {
	rt.meter.event(what, fields)
	c.Log.Named("audit").Info(what, fields...)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// browserKind names a browser for people, from what it says of itself. It is
// never trusted with more.
func browserKind(agent string) string {
	pick := func(names ...string) string {
		for i := 0; i+1 < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := pick("Edg", "Edge", "OPR/", "Opera", "SamsungBrowser", "Samsung Internet", "FxiOS", "Firefox",
		"Firefox", "Firefox", "CriOS", "Chrome", "Chrome", "Chrome", "Safari", "Safari")
	system := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows",
		"CrOS", "Chromebook", "Mac OS", "Mac", "Linux", "Linux")
	switch {
	case browser == "" && system == "":
		return "another program"
	case system == "":
		return browser
	case browser == "":
		return system
	}
	return browser + " on " + system
}
