// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portalgate/portalgate/internal/directory"
)

func TestParse(t *testing.T) {
	ada := directory.Client{ID: "c-1", Email: "ada@example.com", Name: "Ada Lovelace", Access: true, EmailOK: true}
	grace := directory.Client{ID: "c-2", Email: "Grace+clinic@Gmail.com", Name: "Grace Hopper", Access: true, EmailOK: true}
	tests := []struct {
		name, in string
		want     []directory.Client
	}{
		{"required columns", "id,email,name\nc-1,ada@example.com,Ada Lovelace\nc-2,Grace+clinic@Gmail.com,Grace Hopper\n", []directory.Client{ada, grace}},
		{"header only", "id,email,name\n", nil},
		{"other order", "name,id,email\nAda Lovelace,c-1,ada@example.com\n", []directory.Client{ada}},
		{"byte order mark", "\ufeffid,email,name\nc-1,ada@example.com,Ada Lovelace\n", []directory.Client{ada}},
		{"CRLF", "id,email,name\r\nc-1,ada@example.com,Ada Lovelace\r\n", []directory.Client{ada}},
		{"semicolons", "\ufeffid;email;name\r\n\"c-1\";ada@example.com;Ada Lovelace\r\nc-9;a@b.com;\"Byron, A.; Countess\"\r\n", []directory.Client{
			ada, {ID: "c-9", Email: "a@b.com", Name: "Byron, A.; Countess", Access: true, EmailOK: true},
		}},
		{"no newline at the end", "id,email,name\nc-1,ada@example.com,Ada Lovelace", []directory.Client{ada}},
		{"quotes", "\"id\",\"email\",\"name\"\n\"c-1\",\"ada@example.com\",\"Ada Lovelace\"\n", []directory.Client{ada}},
		{"spaces", "id, email , name\n c-1 , ada@example.com\t, \"Ada Lovelace\"\n", []directory.Client{ada}},
		{"empty lines and rows", "id,email,name\n\n,,\n , ,\nc-1,ada@example.com,Ada Lovelace\n\n,\n", []directory.Client{ada}},
		{"newline around a quoted field", "id,email,name\nc-1,\"ada@example.com\n\",\"\nAda Lovelace\"\n", []directory.Client{ada}},
		{"names of all sorts", "id,email,name\n1,a@b.com,\"Müller, Jürgen \"\"J\"\"\"\n2,b@b.com,महात्मा गांधी\n3,c@b.com,نیک\u200cپی\n4,d@b.com,\n", []directory.Client{
			{ID: "1", Email: "a@b.com", Name: `Müller, Jürgen "J"`, Access: true, EmailOK: true},
			{ID: "2", Email: "b@b.com", Name: "महात्मा गांधी", Access: true, EmailOK: true},
			{ID: "3", Email: "c@b.com", Name: "نیک\u200cپی", Access: true, EmailOK: true},
			{ID: "4", Email: "d@b.com", Access: true, EmailOK: true},
		}},
		{"all columns", "id,email,name,phone,language,portal_access,email_ok\nA.b_c-9,ada@bücher.example,Ada,+1 555 0100,pt-BR,yes,no\n", []directory.Client{
			{ID: "A.b_c-9", Email: "ada@xn--bcher-kva.example", Name: "Ada", Phone: "+1 555 0100", Language: "pt-BR", Access: true},
		}},
		{"flags", "id,email,name,portal_access,email_ok\n1,a@b.com,A,YES,No\n2,b@b.com,B,false,True\n3,c@b.com,C,1,0\n", []directory.Client{
			{ID: "1", Email: "a@b.com", Name: "A", Access: true},
			{ID: "2", Email: "b@b.com", Name: "B", EmailOK: true},
			{ID: "3", Email: "c@b.com", Name: "C", Access: true},
		}},
		{"ids that differ in case", "id,email,name\na,a@b.com,A\nA,b@b.com,B\n", []directory.Client{
			{ID: "a", Email: "a@b.com", Name: "A", Access: true, EmailOK: true},
			{ID: "A", Email: "b@b.com", Name: "B", Access: true, EmailOK: true},
		}},
		{"longest name", "id,email,name\n1,a@b.com," + strings.Repeat("ü", 200) + "\n", []directory.Client{
			{ID: "1", Email: "a@b.com", Name: strings.Repeat("ü", 200), Access: true, EmailOK: true},
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			list, err := Parse([]byte(tc.in), Rules{})
			if err != nil {
				t.Fatal(err)
			}
			got := list.Rows
			if len(got) != len(tc.want) {
				t.Fatalf("%d clients, want %d", len(got), len(tc.want))
			}
			for i := range got {
				if got[i].Client != tc.want[i] {
					t.Errorf("client %d = %+v, want %+v", i, got[i].Client, tc.want[i])
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "id,email,name\n"
	tests := []struct {
		name, in string
		want     []string // each in the error
	}{
		// Whoever clears the cell to take access away must not give it.
		{"empty flags", "id,email,name,portal_access,email_ok\n4,d@b.com,D,, \n", []string{"line 2", "portal_access: must be yes or no", "email_ok: must be yes or no"}},
		{"empty", "", []string{"empty", "id, email, name, phone, language, portal_access, email_ok"}},
		{"only a byte order mark", "\ufeff", []string{"empty"}},
		{"unknown column", "id,email,name,birthday\n", []string{`unknown column "birthday"`, "known columns are id, email, name, phone, language, portal_access, email_ok"}},
		{"column of another case", "id,Email,name\n", []string{"column 2 is unknown", "known columns are"}},
		{"missing column", "id,name\n", []string{`no column "email"`, "known columns are"}},
		{"column twice", "id,email,name,email\n", []string{`"email" is there twice`}},
		{"first column twice", "id,email,name,id\n", []string{`"id" is there twice`}},
		{"commas and semicolons", "id,email;name\nc-1,ada@example.com;Ada\n", []string{"column 2 is unknown"}},
		{"no header", "c-1,ada@example.com,Ada Lovelace\n", []string{"column 1 is unknown"}},
		{"UTF-16", "\xff\xfei\x00d\x00", []string{"line 1: not UTF-8"}},
		{"Latin-1", head + "1,a@b.com,A\n2,b@b.com,J\xfcrgen\n", []string{"line 3: not UTF-8"}},
		{"stray quote", head + "1,a@b.com,A\n2,b@b.com,B \"x\" B\n", []string{"line 3"}},
		{"open quote", head + "1,a@b.com,\"A\n2,b@b.com,B\n", []string{"line"}},
		{"too few fields", head + "1,a@b.com\n", []string{"line 2: 2 fields, not 3"}},
		{"too many fields", head + "1,a@b.com,A,yes\n", []string{"line 2: 4 fields, not 3"}},
		{"no id", head + ",a@b.com,A\n", []string{"line 2: id: must be"}},
		{"id starts with a dot", head + ".1,a@b.com,A\n", []string{"line 2: id: must be"}},
		{"id of 65", head + strings.Repeat("1", 65) + ",a@b.com,A\n", []string{"line 2: id: must be"}},
		{"id not ASCII", head + "ü,a@b.com,A\n", []string{"line 2: id: must be"}},
		{"no address", head + "1,,A\n", []string{"line 2: email: no address"}},
		{"no good address", head + "1,Ada <a@b.com>,A\n", []string{"line 2: email: does not look like"}},
		{"address with signs", head + "1,jürgen@b.com,A\n", []string{"line 2: email: has letters"}},
		{"control character", head + "1,a@b.com,A\x07b\n", []string{"line 2: name: has a control"}},
		{"newline in a name", head + "1,a@b.com,\"A\nBcc: x\"\n", []string{"line 2: name: has a control"}},
		{"next line character", head + "1,a@b.com,A\u0085b\n", []string{"line 2: name: has a control"}},
		{"line separator", head + "1,a@b.com,A\u2028b\n", []string{"line 2: name: has a control"}},
		{"name of 201", head + "1,a@b.com," + strings.Repeat("ü", 201) + "\n", []string{"line 2: name: longer than 200"}},
		{"bad phone", "id,email,name,phone\n1,a@b.com,A,5\x000\n", []string{"line 2: phone: has a control"}},
		{"bad language", "id,email,name,language\n1,a@b.com,A,en_US\n", []string{"line 2: language: is not"}},
		{"bad flag", "id,email,name,portal_access\n1,a@b.com,A,maybe\n", []string{"line 2: portal_access: must be yes or no"}},
		{"bad flag, long s", "id,email,name,email_ok\n1,a@b.com,A,ye\u017f\n", []string{"line 2: email_ok: must be yes or no"}},
		{"id twice", head + "1,a@b.com,A\n2,b@b.com,B\n1,c@b.com,C\n", []string{`line 4: id "1" is already in line 2`}},
		{"address twice", head + "1,ada@b.com,A\n2,b@b.com,B\n3,Ada@B.COM,C\n", []string{"line 4: address A•••@B.COM is already in line 2"}},
		{"address twice, in its own script", head + "1,ada@bücher.example,A\n2,ada@xn--bcher-kva.example,B\n", []string{"line 3: address", "in line 2"}},
		{"several at once", head + "1,a@b.com,A\n2,b@b,B\n!,c@b.com,\x01\n1,d@b.com,D\n5\n6,a@b.com,F\n", []string{
			"line 3: email:", "line 4: id:", "line 4: name:", "line 5: id \"1\" is already in line 2", "line 6: 1 fields", "line 7: address",
		}},
		{"lines counted over quoted newlines", head + "1,\"a@b.com\n\n\",A\r\n\r\n2,b@b,B\n", []string{"line 6: email:"}},
		{"too large", head + strings.Repeat("\n", MaxSize), []string{"larger than 10 MB"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			list, err := Parse([]byte(tc.in), Rules{})
			if err == nil || list != nil {
				t.Fatalf("list %v, error %v; want an error and none", list, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v\nwant %q in it", err, want)
				}
			}
		})
	}
}

func TestParseNamesTwentyLines(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,email,name\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "%d,nonsense,A\n", i)
	}
	_, err := Parse([]byte(b.String()), Rules{})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || lines[20] != "and 980 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// An error goes to the log and to staff: whatever is wrong with the file, it
// repeats nobody's address or name.
func TestParseErrorsNameNobody(t *testing.T) {
	for _, in := range []string{
		"ada@example.com,c-1,Lovelace\n",
		"Lovelace\n",
		"id,email,ada@example.com\n",
		"id|email|name\nc-1|ada@example.com|Lovelace\n",
		"id,email,name\nada@example.com,ada@example.com,Lovelace\n",
		"id,email,name\n1,ada@example.com>,Lovelace\n",
		"id,email,name\n1,ada@example.com,\"Lovelace\n",
		"id,email,name\n1,\"ada@example.com\"x,Lovelace\n",
		"id,email,name\n1,ada@example.com,Lovelace\n2,ada@example.com,Lovelace\n1,b@b.com,L\n",
		"id,email,name,email_ok,language\n1,a@b.com,Lovelace,ada@example.com,ada@example.com\n",
	} {
		_, err := Parse([]byte(in), Rules{})
		if err == nil {
			t.Errorf("parse(%q): no error", in)
			continue
		}
		for _, secret := range []string{"ada@", "Lovelace"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("parse(%q) = %v, which repeats %q", in, err, secret)
			}
		}
	}
}

func TestParseManyLines(t *testing.T) {
	data := manyLines(100_000)
	start := time.Now()
	list, err := Parse(data, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Rows) != 100_000 {
		t.Errorf("%d clients", len(list.Rows))
	}
	// Half a second without the race detector; what takes this long is quadratic.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func BenchmarkParse(b *testing.B) {
	data := manyLines(100_000)
	for b.Loop() {
		if _, err := Parse(data, Rules{}); err != nil {
			b.Fatal(err)
		}
	}
}

func manyLines(n int) []byte {
	var b strings.Builder
	b.WriteString("id,email,name,phone,language,portal_access,email_ok\n")
	for i := range n {
		fmt.Fprintf(&b, "c-%d,client.%d@example.com,Ada Lovelace %d,+1 555 %07d,en,yes,no\n", i, i, i, i)
	}
	return []byte(b.String())
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"id,email,name\nc-1,ada@example.com,Ada\n",
		"\ufeffid,email,name,phone,language,portal_access,email_ok\r\n1,a@b.com,A,5,en,yes,no\r\n",
		"name,id,email\n\"A\n\",1,\"a@b.com\"\n,,\n",
		"id,email,name\n1,a@b.com,A\n1,A@b.com,B\n",
		"id,email,name\n1,\"a@b.com\"x,A\n",
		"id;email\n", "", "\xff\xfe", "id,email,name\n1\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Parse(data, Rules{})
		if err != nil {
			if list != nil {
				t.Fatal("an error and clients")
			}
			if n := strings.Count(err.Error(), "\n"); n > 20 {
				t.Errorf("%d lines of errors", n)
			}
			return
		}
		byID, byAddress := map[string]directory.Client{}, map[string]string{}
		var clients []directory.Client
		for _, r := range list.Rows {
			if !directory.IsID(r.ID) || byID[r.ID] != (directory.Client{}) {
				t.Errorf("id %q", r.ID)
			}
			if byAddress[strings.ToLower(r.Email)] != "" || r.Address.String() != r.Email {
				t.Errorf("address of client %q", r.ID)
			}
			byID[r.ID], byAddress[strings.ToLower(r.Email)] = r.Client, r.ID
			if strings.ContainsAny(r.Name+r.Phone+r.Language+r.Email, "\r\n\x00") {
				t.Errorf("client %q has a line break", r.ID)
			}
			clients = append(clients, r.Client)
		}
		written := write(t, clients)
		again, err := Parse(written, Rules{})
		if err != nil || len(again.Rows) != len(clients) {
			t.Fatalf("what was written is not read: %v", err)
		}
		for _, r := range again.Rows {
			if r.Client != byID[r.ID] {
				t.Errorf("read %+v, written %+v", r.Client, byID[r.ID])
			}
		}
	})
}
