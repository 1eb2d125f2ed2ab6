// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"rsc.io/qr"

	"github.com/portalgate/portalgate/internal/ui"
)

// quiet is how many light modules stand around a QR code (ISO/IEC 18004).
const quiet = 4

// cardPage is a page to print and hand out: how to sign in, for anybody.
func (v *visit) cardPage() {
	at := v.UI.Practice().PublicURL.String()
	code, err := qr.Encode(at, qr.M)
	if err != nil {
		v.failed(err)
		return
	}
	v.show("card", ui.Page{Title: "desk.card.title", Body: []ui.Block{
		ui.Tip("desk.card.print"), ui.Lead("desk.card.lead"),
		ui.Steps{Numbered: true, Keys: []string{"desk.card.1", "desk.card.2", "desk.card.3", "desk.card.4"}},
		ui.Pattern{Label: "desk.card.code", Size: code.Size + 2*quiet, Dark: func(x, y int) bool { return code.Black(x-quiet, y-quiet) }},
		ui.Form{Get: true, Action: v.root() + "card", Fields: []ui.Field{
			{Name: "address", Label: "desk.card.address", Kind: ui.CopyField, Value: at},
		}},
	}})
}
