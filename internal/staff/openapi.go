// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"github.com/portalgate/portalgate/internal/reply"
)

// The API in the words of OpenAPI 3.1. A test holds it to what is answered.
//
//go:embed openapi.json
var openAPI []byte

// openAPI tells programs what there is.
func (v *visit) openAPI() {
	reply.JSON(v.w, v.r, http.StatusOK, json.RawMessage(openAPI))
}
