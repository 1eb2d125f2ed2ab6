// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep JSON may nest. A key set needs three levels.
const maxDepth = 8

// object decodes one JSON object and refuses what two decoders could read
// differently: a member twice (whatever its spelling), invalid UTF-8,
// anything after the object. Numbers stay as they are written.
//
// It returns a map rather than filling a struct, because encoding/json would
// accept "SUB" for "sub".
func object(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something after the object")
	}
	return m, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		m := map[string]any{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, ok := k.(string)
			if !ok {
				return nil, errors.New("name is not a string")
			}
			if _, twice := m[name]; twice {
				return nil, errors.New("a member twice")
			}
			if m[name], err = value(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token() // the closing brace
		return m, err
	case json.Delim('['):
		a := []any{}
		for d.More() {
			v, err := value(d, depth+1)
			if err != nil {
				return nil, err
			}
			a = append(a, v)
		}
		_, err := d.Token() // the closing bracket
		return a, err
	}
	return t, nil
}

// part decodes base64url in its one canonical form: no padding, no line
// breaks (which encoding/base64 skips), no stray bits at the end.
func part(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
