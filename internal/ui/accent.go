// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"encoding/hex"
	"fmt"
	"math"
)

// DefaultAccent is the colour of buttons and links if a practice names none.
const DefaultAccent = "#2f6f5e"

// contrast is what WCAG 2.2 asks of text (1.4.3); borders and the ring around
// what has the focus need 3:1 (1.4.11), and have the same colours.
const contrast = 4.5

// contrastInDark is what we give where the choice is ours.
const contrastInDark = 6

// The backgrounds that links stand on. The stylesheet has the same colours;
// a test compares them.
const (
	lightPage = "#f5f3ee"
	lightCard = "#ffffff"
	darkPage  = "#151a18"
	darkCard  = "#1f2624"
)

// rgb is a colour as light: linear, 0 to 1, so that mixing keeps the hue and
// luminance is a sum.
type rgb [3]float64

// accents returns the accent as a page has it in light and in dark, with the
// colour of the words on a button of it. A colour too pale to be read on a
// light page is refused: the practice should choose, so the error names the
// nearest that can be read. A colour too dark for a dark page is lightened by
// us, since there is no one colour that does for both.
func accents(accent string) (light, lightLabel, dark, darkLabel string, err error) {
	c, err := parseColour(accent)
	if err != nil {
		return "", "", "", "", err
	}
	// A pale page is the harder one for a colour darker than it.
	if got := ratio(c, mustColour(lightPage)); got < contrast {
		return "", "", "", "", fmt.Errorf("the accent colour %s cannot be read on a light page (contrast %.1f, needed %.1f); the nearest that can is %s",
			accent, math.Floor(got*10)/10, contrast, c.darkened())
	}
	d := c.lightened()
	return c.String(), label(c), d.String(), label(d), nil
}

// darkened returns the colour of the same tint that can just be read on a
// light page.
func (c rgb) darkened() rgb {
	most := (mustColour(lightPage).luminance()+0.05)/contrast - 0.05
	k := most / c.luminance()
	for i := range c {
		c[i] = linear(math.Floor(curved(c[i]*k) * 255)) // down to one that can be written
	}
	return c
}

// lightened returns the colour, or if it cannot be read with ease on a dark
// page, one of its tint that can. Brightness alone makes a dark red shrill,
// and white alone makes a dark green grey, so it is half of each.
func (c rgb) lightened() rgb {
	least := (mustColour(darkCard).luminance()+0.05)*contrastInDark - 0.05
	if c.luminance() >= least {
		return c
	}
	bright := c
	if top := max(c[0], c[1], c[2]); top > 0 {
		k := min(least/c.luminance(), 1/top)
		bright = rgb{c[0] * k, c[1] * k, c[2] * k}
	}
	bright, pale := bright.paled(least), c.paled(least)
	for i := range c {
		c[i] = linear(min(255, math.Ceil(curved((bright[i]+pale[i])/2)*255))) // up to one that can be written
	}
	return c
}

// paled mixes the colour with white until it has the luminance.
func (c rgb) paled(luminance float64) rgb {
	l := c.luminance()
	t := max(0, (luminance-l)/(1-l))
	for i := range c {
		c[i] += (1 - c[i]) * t
	}
	return c
}

// label returns white or black, whichever is easier to read on c. One of them
// always has the contrast.
func label(c rgb) string {
	if ratio(c, mustColour("#ffffff")) >= contrast {
		return "#ffffff"
	}
	return "#000000"
}

// ratio is the contrast of two colours as WCAG 2.2 defines it, 1 to 21.
func ratio(a, b rgb) float64 {
	x, y := a.luminance()+0.05, b.luminance()+0.05
	return max(x, y) / min(x, y)
}

func (c rgb) luminance() float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// String returns the colour as #rrggbb.
func (c rgb) String() string {
	var b [3]byte
	for i := range c {
		b[i] = byte(math.Round(curved(c[i]) * 255))
	}
	return "#" + hex.EncodeToString(b[:])
}

func parseColour(s string) (rgb, error) {
	if len(s) == 7 && s[0] == '#' {
		if b, err := hex.DecodeString(s[1:]); err == nil {
			return rgb{linear(float64(b[0])), linear(float64(b[1])), linear(float64(b[2]))}, nil
		}
	}
	return rgb{}, fmt.Errorf("the accent colour %q is not written as #rrggbb, for example %s", s, DefaultAccent)
}

func mustColour(s string) rgb {
	c, err := parseColour(s)
	if err != nil {
		panic("ui: " + err.Error())
	}
	return c
}

// linear turns one channel of sRGB, 0 to 255, into light; curved turns it
// back, 0 to 1.
func linear(v float64) float64 {
	v /= 255
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func curved(v float64) float64 {
	if v <= 0.0031308 {
		return v * 12.92
	}
	return 1.055*math.Pow(v, 1/2.4) - 0.055
}
