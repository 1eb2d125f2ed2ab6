// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package main

import "net/http"

// question is one field of the form: a line, some Rows of text, or a choice.
type question struct {
	Name, Label string
	Type        string // of the input; empty is text
	Fill        string // autocomplete
	Rows        int
	Choices     []string
}

// questions are what a practice wants to know before a visit. A form this long
// takes a while, so it is the one that is sent too late.
var questions = []question{
	{Name: "name", Label: "Your full name", Fill: "name"},
	{Name: "called", Label: "What would you like to be called?", Fill: "nickname"},
	{Name: "born", Label: "Date of birth", Type: "date", Fill: "bday"},
	{Name: "phone", Label: "Your phone number", Type: "tel", Fill: "tel"},
	{Name: "street", Label: "Street and number", Fill: "address-line1"},
	{Name: "town", Label: "Town", Fill: "address-level2"},
	{Name: "postcode", Label: "Postcode", Fill: "postal-code"},
	{Name: "language", Label: "Which language do you prefer?"},
	{Name: "work", Label: "What do you do?"},
	{Name: "contact", Label: "Who may we call in an emergency?"},
	{Name: "contact_phone", Label: "Their phone number", Type: "tel"},
	{Name: "doctor", Label: "Your doctor"},
	{Name: "medicines", Label: "Which medicines do you take?", Rows: 3},
	{Name: "allergies", Label: "Are you allergic to anything?"},
	{Name: "day", Label: "Which day suits you?", Choices: []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}},
	{Name: "time", Label: "What time of day?", Choices: []string{"Morning", "Afternoon", "Evening"}},
	{Name: "where", Label: "Where shall we meet?", Choices: []string{"At the practice", "By phone", "By video"}},
	{Name: "stairs", Label: "Are stairs difficult for you?", Choices: []string{"No", "Yes"}},
	{Name: "found", Label: "How did you find us?"},
	{Name: "note", Label: "What is it about?", Rows: 6},
}

// form shows a form, and what came back.
func form(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form could not be read.", http.StatusBadRequest)
		return
	}
	var sent []row
	if r.Method == http.MethodPost {
		for _, q := range questions {
			sent = append(sent, row{q.Name, r.PostForm.Get(q.Name)})
		}
	}
	show(w, r, "form.html", "Ask for a visit", map[string]any{"Questions": questions, "Sent": sent})
}
