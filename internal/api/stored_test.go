package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/store"
)

const storedPath = "/api/v1/account/template"

// store creates a template of the account.
func (w *world) store(body map[string]any) (t storedAnswer) {
	w.t.Helper()
	w.asAccount("POST", storedPath+"/", body).ok(200, &t)
	return t
}

func TestStoredTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.asAccount("GET", storedPath, nil).ok(200, &[]storedHead{})
	made := w.store(map[string]any{"name": " Welcome Mail ", "subject": "Hi {{name}}", "html": "<p>{{name}}", "text": "{{name}}", "editor": map[string]any{"rows": []int{1}}})
	want := storedAnswer{ID: made.ID, Name: "Welcome Mail", Subject: "Hi {{name}}", Created: made.Created, Updated: made.Created,
		HTML: "<p>{{name}}", Text: "{{name}}", Editor: json.RawMessage(`{"rows":[1]}`)}
	if diff := cmp.Diff(want, made); diff != "" || made.ID == 0 || made.Created == 0 {
		t.Error(diff)
	}
	path := fmt.Sprintf("%s/%d", storedPath, made.ID)
	a := w.asAccount("GET", path, nil)
	var read storedAnswer
	a.ok(200, &read)
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}
	wantKeys(t, a.body, "id", "name", "subject", "created", "updated", "html", "text", "editor")

	// What is absent stays.
	w.asAccount("PUT", path, map[string]any{"htmlBody": "<b>", "editor": nil}).ok(200, &read)
	if want.HTML, want.Updated = "<b>", read.Updated; read.Updated < read.Created || cmp.Diff(want, read) != "" {
		t.Error(cmp.Diff(want, read))
	}
	w.asAccount("PUT", path, map[string]any{"editor": "x", "textBody": ""}).ok(200, &read)
	if string(read.Editor) != `"x"` || read.Text != "" || read.HTML != "<b>" {
		t.Errorf("%+v", read)
	}

	// Copies have all of it.
	for body, name := range map[string]string{"": "Welcome Mail (copy)", `{}`: "Welcome Mail (copy 2)", `{"name":"Other"}`: "Other"} {
		if body == "{}" {
			continue // after the first one, below
		}
		w.copied(path, body, name, read)
	}
	w.copied(path, "{}", "Welcome Mail (copy 2)", read)
	w.asAccount("POST", path+"/copy", `{"name":"Other"}`).refused(403, "name_taken", "name")

	var heads []storedHead
	w.asAccount("GET", storedPath+"?search=WELCOME&offset=1&limit=1", nil).ok(200, &heads)
	if len(heads) != 1 || !strings.HasPrefix(heads[0].Name, "Welcome Mail (copy") {
		t.Errorf("%+v", heads)
	}
	a = w.asAccount("GET", storedPath+"?limit=1", nil)
	wantKeys(t, a.body[1:len(a.body)-2], "id", "name", "subject", "created", "updated")
	for query, want := range map[string]int{"": 4, "?search=copy": 2, "?search=x": 0} {
		var n countAnswer
		w.asAccount("GET", storedPath+"/count"+query, nil).ok(200, &n)
		if n.Count != want {
			t.Errorf("%s: %d, want %d", query, n.Count, want)
		}
	}
	var gone deletedAnswer
	w.asAccount("DELETE", path, nil).ok(200, &gone)
	if gone.ID != made.ID || gone.Message != "Template (Welcome Mail) has been deleted successfully." {
		t.Errorf("%+v", gone)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		w.asAccount(method, path, map[string]any{}).refused(404, "not_found", "")
	}
	w.asAccount("POST", path+"/copy", nil).refused(404, "not_found", "")
}

func (w *world) copied(path, body, name string, from storedAnswer) {
	w.t.Helper()
	var got storedAnswer
	w.asAccount("POST", path+"/copy", body).ok(200, &got)
	from.ID, from.Name, from.Created, from.Updated = got.ID, name, got.Created, got.Updated
	if diff := cmp.Diff(from, got); diff != "" {
		w.t.Errorf("a copy: %s", diff)
	}
}

func TestStoredTemplateRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.store(map[string]any{"name": "Other"})
	for name, tc := range map[string]struct {
		body        map[string]any
		status      int
		code, field string
		words       string
	}{
		"no name":         {map[string]any{"html": "a"}, 422, "missing_name", "name", ""},
		"a blank name":    {map[string]any{"name": " "}, 422, "missing_name", "name", ""},
		"a long name":     {map[string]any{"name": strings.Repeat("ä", 201)}, 422, "invalid_name", "name", ""},
		"two lines":       {map[string]any{"name": "a\nb"}, 422, "invalid_name", "name", ""},
		"a taken name":    {map[string]any{"name": "Other "}, 403, "name_taken", "name", ""},
		"a subject":       {map[string]any{"name": "a", "subject": "a\nb"}, 422, "invalid_subject", "subject", ""},
		"a subject's tag": {map[string]any{"name": "a", "subject": "{{"}, 422, "template_syntax", "subject", "line 1"},
		"HTML":            {map[string]any{"name": "a", "html": "\n{{#if a}}"}, 422, "template_syntax", "html", "line 2: the block"},
		"HTML, otherwise": {map[string]any{"name": "a", "htmlBody": "{{/a}}"}, 422, "template_syntax", "html", ""},
		"text":            {map[string]any{"name": "a", "text": "{{> a}}"}, 422, "template_syntax", "text", ""},
		"NUL":             {map[string]any{"name": "a", "text": "\x00"}, 422, "invalid_template", "text", ""},
		"large HTML":      {map[string]any{"name": "a", "html": strings.Repeat("x", 4<<20+1)}, 422, "invalid_template", "html", ""},
		"a large editor":  {map[string]any{"name": "a", "editor": strings.Repeat("x", 4<<20)}, 422, "invalid_template", "editor", ""},
		"types":           {map[string]any{"name": 1}, 422, "wrong_type", "name", ""},
		"size":            {map[string]any{"name": "a", "x": strings.Repeat("x", 8<<20)}, 413, "body_too_large", "", ""},
	} {
		p := w.asAccount("POST", storedPath, tc.body).refused(tc.status, tc.code, tc.field)
		if !strings.Contains(p.Message, tc.words) {
			t.Errorf("%s: %s", name, p.Message)
		}
	}
	w.store(map[string]any{"name": "Another"})
	path := fmt.Sprintf("%s/%d", storedPath, other.ID)
	w.asAccount("PUT", path, map[string]any{"name": "Another"}).refused(403, "name_taken", "name")
	w.asAccount("PUT", path, map[string]any{"html": "{{#each}}"}).refused(422, "template_syntax", "html")
	w.asAccount("PUT", path, map[string]any{"name": ""}).refused(422, "missing_name", "name")
	w.asAccount("POST", path+"/copy", `{"name":"a\nb"}`).refused(422, "invalid_name", "name")
	w.asAccount("POST", path+"/copy", `[]`).refused(422, "wrong_type", "")
	var list []storedHead
	w.asAccount("GET", storedPath, nil).ok(200, &list)
	if len(list) != 2 || list[0].Updated != other.Updated {
		t.Errorf("%+v", list)
	}
}

// content reads what was stored of a message.
func (w *world) content(id string) (*mail.Content, *store.Message) {
	w.t.Helper()
	parsed, ok := messageID(id)
	if !ok {
		w.t.Fatal(id)
	}
	m, err := w.db.Message(w.t.Context(), w.account.ID, parsed)
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Content, m
}

// Every dialect of SendPost's documentation names a template, and both paths take it. What is accepted is what the template was then.
func TestSendWithStoredTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	made := w.store(map[string]any{"name": "Welcome Mail", "subject": "Hi {{name}}", "html": "<p>{{name}} {{offer}} {{city}}", "text": "{{name}}"})
	send := func(path string, more map[string]any) *mail.Content {
		t.Helper()
		body := email("gavin@hooli.com")
		for k, v := range more {
			body[k] = v
		}
		var got []emailResponse
		w.asSub("POST", path, body).ok(200, &got)
		c, _ := w.content(got[0].MessageID)
		return c
	}
	const templated = sendPath + "template"
	for name, tc := range map[string]struct {
		path   string
		more   map[string]any
		fields string
	}{
		"by name":            {templated, map[string]any{"template": "Welcome Mail"}, ""},
		"with a slash":       {templated + "/", map[string]any{"template": " Welcome Mail "}, ""},
		"by id, as a text":   {templated, map[string]any{"templateId": fmt.Sprint(made.ID), "dynamicData": map[string]any{"name": "Ana"}}, `{"name":"Ana"}`},
		"by id, as a number": {templated, map[string]any{"templateId": made.ID, "templateVariables": map[string]any{"name": "Ana"}}, `{"name":"Ana"}`},
		"a name as an id":    {templated, map[string]any{"templateId": "Welcome Mail"}, ""},
		"an id as a name":    {templated, map[string]any{"template": fmt.Sprint(made.ID)}, ""},
		"name before id":     {templated, map[string]any{"template": "Welcome Mail", "templateId": 99999}, ""},
		"through the other":  {sendPath, map[string]any{"template": "Welcome Mail", "templateId": nil, "dynamicData": nil}, ""},
		"through it, by id":  {sendPath, map[string]any{"templateId": made.ID}, ""},
		"values from all over": {templated, map[string]any{"template": "Welcome Mail", "templateVariables": map[string]any{"name": "1", "offer": "1", "city": "1"},
			"dynamicData": map[string]any{"offer": "2", "city": "2"}, "customFields": map[string]any{"city": "3"}}, `{"city":"3","name":"1","offer":"2"}`},
	} {
		c := send(tc.path, tc.more)
		if c.Subject != "Hi {{name}}" || c.HTML != "<p>{{name}} {{offer}} {{city}}" || c.Text != "{{name}}" || string(c.CustomFields) != tc.fields {
			t.Errorf("%s: %+v", name, c)
		}
	}
	c := send(templated, map[string]any{"template": "Welcome Mail", "subject": "Mine", "htmlBody": "mine", "textBody": "mine", "ampBody": "amp", "preText": "pre"})
	if c.Subject != "Mine" || c.HTML != made.HTML || c.Text != made.Text || c.AMP != "amp" || c.PreText != "pre" {
		t.Errorf("with content of its own: %+v", c)
	}
	w.asAccount("PUT", fmt.Sprintf("%s/%d", storedPath, made.ID), map[string]any{"html": "changed", "text": "", "name": "Renamed"}).ok(200, nil)
	if c.HTML != made.HTML {
		t.Errorf("a later change changes what was accepted: %+v", c)
	}
	if c := send(templated, map[string]any{"template": "Renamed", "textBody": "mine"}); c.HTML != "changed" || c.Text != "mine" {
		t.Errorf("%+v", c)
	}
}

func TestSendWithStoredTemplateRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	w.store(map[string]any{"name": "Hello", "html": "Hello"})
	for name, tc := range map[string]struct {
		path, body, code, field string
	}{
		"none":                  {"template", `"x":1`, "missing_template", "template"},
		"empty ones":            {"template", `"template":" ","templateId":""`, "missing_template", "template"},
		"null":                  {"template", `"template":null,"templateId":null`, "missing_template", "template"},
		"unknown":               {"template", `"template":"hello"`, "unknown_template", "template"},
		"unknown, elsewhere":    {"", `"template":"nowhere"`, "unknown_template", "template"},
		"an unknown id":         {"template", `"templateId":999999`, "unknown_template", "templateId"},
		"an unknown text":       {"template", `"templateId":"12345"`, "unknown_template", "templateId"},
		"a large id":            {"template", `"templateId":99999999999`, "unknown_template", "templateId"},
		"an id of no kind":      {"template", `"templateId":[1]`, "wrong_type", "templateId"},
		"true":                  {"template", `"templateId":true`, "wrong_type", "templateId"},
		"variables":             {"template", `"template":"Hello","templateVariables":"a"`, "invalid_template_variables", "templateVariables"},
		"data":                  {"template", `"template":"Hello","dynamicData":[1]`, "invalid_template_variables", "dynamicData"},
		"fields":                {"template", `"template":"Hello","templateVariables":{"a":"b"},"customFields":[1]`, "invalid_custom_fields", "customFields"},
		"a body with a slip":    {"", `"htmlBody":"<p>\n{{name}</p>"`, "template_syntax", "htmlBody"},
		"a subject with a slip": {"", `"subject":"{{#if}}"`, "template_syntax", "subject"},
	} {
		body := `{"from":{"email":"a@example.com"},"to":[{"email":"b@example.com"}],"tpspTemplate":"welcome",` + tc.body + `}`
		p := w.asSub("POST", sendPath+tc.path, body).refused(422, tc.code, tc.field)
		if tc.code == "unknown_template" && !strings.Contains(p.Message, `"`) || tc.code == "template_syntax" && !strings.HasPrefix(p.Message, "line ") {
			t.Errorf("%s: %s", name, p.Message)
		}
	}
	// Another account's template is an unknown one.
	key := w.secondAccount()
	theirs := storedAnswer{}
	w.call("POST", storedPath, map[string]string{"X-Account-ApiKey": key}, `{"name":"Theirs","text":"t"}`).ok(200, &theirs)
	for _, body := range []string{`"template":"Theirs"`, fmt.Sprintf(`"templateId":%d`, theirs.ID)} {
		field, _, _ := strings.Cut(strings.Trim(body, `"`), `"`)
		w.asSub("POST", sendPath+"template", `{"from":{"email":"a@example.com"},"to":[{"email":"b@example.com"}],`+body+`}`).refused(422, "unknown_template", field)
	}
	var events []eventAnswer
	w.asAccount("GET", "/api/v1/account/event/", nil).ok(200, &events)
	if len(events) != 0 {
		t.Errorf("something was stored: %+v", events)
	}
}
