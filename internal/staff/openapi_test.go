// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package staff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/portalgate/portalgate/internal/directory"
)

// described is the document, with what can be checked against it.
type described struct {
	t    *testing.T
	doc  map[string]any
	from *jsonschema.Compiler
}

func describe(t *testing.T) described {
	t.Helper()
	w := ask(busy().desk(t), "desk", "GET", "/api/v1/openapi.json", "")
	if w.Code != 200 {
		t.Fatalf("the document: %d %s", w.Code, w.Body)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020) // what OpenAPI 3.1 goes by
	c.AssertFormat()
	if err := c.AddResource("urn:desk", doc); err != nil {
		t.Fatal(err)
	}
	return described{t, doc.(map[string]any), c}
}

// at follows keys into the document; nil if there is nothing.
func (d described) at(keys ...string) map[string]any {
	at := d.doc
	for _, k := range keys {
		at, _ = at[k].(map[string]any)
	}
	return at
}

// check checks a value against the schema at keys.
func (d described) check(what string, body []byte, keys ...string) {
	d.t.Helper()
	for i, k := range keys {
		keys[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(k)
	}
	schema, err := d.from.Compile("urn:desk#/" + strings.Join(keys, "/"))
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		d.t.Errorf("%s: %v\n%s", what, err, body)
	}
}

// bodies is what is sent to a route in the tests.
var bodies = map[string]string{
	"POST /clients":                 `{"id":"c-eve","email":"eve@example.com","name":"Eve","phone":"1","language":"en","portal_access":true,"email_ok":false}`,
	"PATCH /clients/{id}":           `{"version":3,"email":"eve@example.com","name":"Eve","phone":"1","language":"en","portal_access":true,"email_ok":false}`,
	"POST /clients/import":          "id,email\n",
	"POST /pins":                    `{"email":"ada@example.com","verified_by":"called back"}`,
	"POST /clients/{id}/pin":        `{"verified_by":"called back"}`,
	"POST /clients/{id}/unlock":     `{}`,
	"POST /clients/{id}/invitation": `{"return_to":"/a","message":"Hello"}`,
	"POST /clients/{id}/link":       `{"return_to":"/a"}`,
}

// TestDocumentIsTheAPI: each route is in the document and nothing else is; what is
// asked for is taken, and what is answered is as it says, the problem included.
func TestDocumentIsTheAPI(t *testing.T) {
	d := describe(t)
	var routes, inDoc []string
	for _, rt := range busy().desk(t).Routes() {
		if method, path, _ := strings.Cut(rt, " "); strings.HasPrefix(path, "/api/v1/") {
			routes = append(routes, method+" "+strings.TrimPrefix(path, "/api/v1"))
		}
	}
	for path, item := range d.at("paths") {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				inDoc = append(inDoc, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(inDoc)
	if !slices.Equal(routes, inDoc) {
		t.Fatalf("routes:\n%q\nin the document:\n%q", routes, inDoc)
	}
	for _, rt := range routes {
		method, path, _ := strings.Cut(rt, " ")
		op := []string{"paths", path, strings.ToLower(method)}
		if body := d.at(append(op, "requestBody", "content", "application/json")...); body != nil {
			d.check(rt+" takes", []byte(bodies[rt]), append(op, "requestBody", "content", "application/json", "schema")...)
		}
		w := d.ask(busy(), rt)
		status := fmt.Sprint(w.Code)
		responses := d.at(append(op, "responses")...)
		if responses[status] == nil {
			t.Errorf("%s answers %d %s, which is not in the document", rt, w.Code, w.Body)
			continue
		}
		if d.at(append(op, "responses", status, "content", "application/json")...) != nil {
			d.check(rt+" answers", w.Body.Bytes(), append(op, "responses", status, "content", "application/json", "schema")...)
		} else if w.Body.Len() > 0 && w.Code == 204 {
			t.Errorf("%s answers %s, of which the document says nothing", rt, w.Body)
		}
		// And when it cannot be written down.
		s := busy()
		s.mute = fmt.Errorf("the disk is full")
		w = d.ask(s, rt)
		d.check(rt+" fails", w.Body.Bytes(), "components", "schemas", "Problem")
		if w.Code != 503 || len(s.done)+s.made+s.mailed != 0 {
			t.Errorf("%s, which cannot be written down: %d %s", rt, w.Code, w.Body)
		}
	}
}

// ask asks for a route with what it takes.
func (d described) ask(s *scripted, rt string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(rt, " ")
	r := request(method, "/api/v1"+strings.ReplaceAll(path, "{id}", "c-ada"), bodies[rt])
	r.Header.Set("If-Match", `"3"`)
	if strings.HasSuffix(path, "/import") {
		r.Header.Set("Content-Type", "text/csv")
	}
	return serve(s.desk(d.t), "desk", r)
}

// TestDocumentIsTight: a schema that takes anything proves nothing.
func TestDocumentIsTight(t *testing.T) {
	d := describe(t)
	for name, s := range d.at("components", "schemas") {
		if s.(map[string]any)["additionalProperties"] != false {
			t.Errorf("%s takes members that nobody has heard of", name)
		}
	}
	schema, err := d.from.Compile("urn:desk#/components/schemas/KnownClient")
	if err != nil {
		t.Fatal(err)
	}
	var known map[string]any
	w := ask(busy().desk(t), "desk", "GET", "/api/v1/clients/c-ada", "")
	if err := json.Unmarshal(w.Body.Bytes(), &known); err != nil || schema.Validate(known) != nil {
		t.Fatal(err, schema.Validate(known))
	}
	if known["secret"] = "x"; schema.Validate(known) == nil {
		t.Error("a member too many is not found")
	}
	s := busy()
	s.sheet.Client, s.sheet.Mails = directory.Client{ID: "c-ada", Email: "ada@example.com"}, nil
	s.sheet.Sessions, s.sheet.Accounts = nil, nil
	w = ask(s.desk(t), "desk", "GET", "/api/v1/clients/c-ada", "")
	if strings.Contains(w.Body.String(), "created_at") || w.Header().Get("ETag") != "" {
		t.Errorf("a client of a list that is kept elsewhere: %s %v", w.Body, w.Header())
	}
}
