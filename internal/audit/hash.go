// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
	"unicode/utf8"
)

// Bounds of an event's texts, in bytes. What is longer is cut.
const (
	maxNote = 400
	maxText = 128
)

// hash is SHA-256, in hex, of the event's fields but Hash, in the order of the
// struct: each as its length in a varint and its text, numbers in big endian and
// the time in Unix milliseconds.
func (ev *Event) hash() string {
	b := []byte("portalgate audit v1")
	b = binary.BigEndian.AppendUint64(b, uint64(ev.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(ev.At.UnixMilli()))
	for _, s := range []string{ev.ID, ev.What, ev.Client, ev.By, ev.From, ev.Method, ev.Outcome, ev.Note, ev.Prev} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// link makes the event the one after seq and prev.
func (ev *Event) link(seq int64, prev string) {
	ev.Seq, ev.Prev = seq+1, prev
	ev.Hash = ev.hash()
}

// trimmed returns the event as it can be kept, so that what is read back is what
// was hashed.
func (ev Event) trimmed() Event {
	ev.At = time.UnixMilli(ev.At.UnixMilli()).UTC()
	for _, s := range []*string{&ev.ID, &ev.What, &ev.Client, &ev.By, &ev.From, &ev.Method, &ev.Outcome} {
		*s = clip(*s, maxText)
	}
	ev.Note = clip(ev.Note, maxNote)
	return ev
}

// clip keeps what people read of a string within n bytes.
func clip(s string, n int) string {
	for i, r := range s {
		if size := utf8.RuneLen(r); r == utf8.RuneError || i+size > n {
			return s[:i]
		}
	}
	return s
}
