package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

// PM-sim 26.
func TestTemplateLifecycle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.ok(http.MethodPost, "/templates/", object{"Name": "Receipt", "Alias": "receipt", "Subject": "Receipt {{no}}",
		"TextBody": "Total: {{total}}"})
	want := object{"TemplateId": 2.0, "Name": "Receipt", "Active": true, "Alias": "receipt", "TemplateType": "Standard", "LayoutTemplate": nil}
	var got object
	created.into(t, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"/templates/2", "/templates/receipt"} {
		long := b.ok(http.MethodGet, path, nil)
		if long.field(t, "TextBody") != "Total: {{total}}" || long.field(t, "HtmlBody") != nil || long.field(t, "AssociatedServerId") != 1.0 {
			t.Errorf("%s: %s", path, long.body)
		}
	}
	edited := b.ok(http.MethodPut, "/templates/receipt", `{"Name":"Receipt 2","TextBody":null,"HtmlBody":"<p>{{total}}</p>"}`)
	got, want["Name"] = nil, "Receipt 2"
	edited.into(t, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answer to an edit: %s", diff)
	}
	if long := b.ok(http.MethodGet, "/templates/2", nil); long.field(t, "TextBody") != "Total: {{total}}" || long.field(t, "Name") != "Receipt 2" {
		t.Errorf("null must leave a field as it is: %s", long.body)
	}
	var list struct {
		TotalCount int
		Templates  []object
	}
	b.ok(http.MethodGet, "/templates?count=1&offset=1&templateType=standard", nil).into(t, &list)
	if list.TotalCount != 2 || len(list.Templates) != 1 || list.Templates[0]["Alias"] != "receipt" {
		t.Errorf("%+v", list)
	}
	b.api(http.MethodGet, "/templates", nil).want(t, 422, 1100, "")
	if got := b.ok(http.MethodDelete, "/templates/receipt", nil).field(t, "Message"); got != "Template 2 removed." {
		t.Error(got)
	}
	if b.ok(http.MethodGet, "/templates/2", nil).field(t, "Active") != false {
		t.Error("a deleted template stays readable by id as inactive")
	}
	b.api(http.MethodGet, "/templates/receipt", nil).want(t, 422, 1101, "")
	b.api(http.MethodPost, "/email/withTemplate", templated(object{"TemplateAlias": nil, "TemplateId": 2})).want(t, 422, 1101, "")
}

// PM-sim 26: what a template must be like.
func TestTemplateRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	base := func(changes object) object {
		return merge(object{"Name": "n", "Subject": "s", "TextBody": "t"}, changes)
	}
	for name, c := range map[string]struct {
		body any
		code int
	}{
		"no body":           {"", 1109},
		"no name":           {base(object{"Name": nil}), 1120},
		"no subject":        {base(object{"Subject": nil}), 1120},
		"no bodies":         {base(object{"TextBody": nil}), 1120},
		"long name":         {base(object{"Name": strings.Repeat("n", 201)}), 1121},
		"long alias":        {base(object{"Alias": strings.Repeat("a", 201)}), 1121},
		"long HtmlBody":     {base(object{"HtmlBody": strings.Repeat("a", 5<<20+1)}), 1121},
		"long TextBody":     {base(object{"TextBody": strings.Repeat("a", 5<<20+1)}), 1121},
		"long subject":      {base(object{"Subject": strings.Repeat("a", 2001)}), 1121},
		"alias malformed":   {base(object{"Alias": "1st"}), 1122},
		"alias taken":       {base(object{"Alias": sandbox.DemoTemplateAlias}), 1122},
		"bad type":          {base(object{"TemplateType": "Other"}), 1122},
		"cannot be parsed":  {base(object{"TextBody": "{{#a}}"}), 1122},
		"unknown layout":    {base(object{"LayoutTemplate": "nope"}), 1101},
		"layout + subject":  {base(object{"TemplateType": "Layout", "TextBody": "{{{ @content }}}"}), 1123},
		"no placeholder":    {base(object{"TemplateType": "Layout", "Subject": nil}), 1131},
		"two placeholders":  {base(object{"TemplateType": "Layout", "Subject": nil, "TextBody": "{{{@content}}} {{{ @content }}}"}), 1131},
		"type of edit":      {nil, 0},
		"GET of validate":   {nil, 0},
		"wrong type of key": {base(object{"Name": 5}), 403},
	} {
		if c.code != 0 {
			b.api(http.MethodPost, "/templates", c.body).want(t, 422, c.code, "")
			t.Log(name)
		}
	}
	b.api(http.MethodPut, "/templates/welcome-template", object{"TemplateType": "Layout"}).want(t, 422, 1122, "")
	b.api(http.MethodGet, "/templates/validate", nil).want(t, 422, 1109, "No template data received.")
	for i := range 99 {
		b.ok(http.MethodPost, "/templates", base(object{"Alias": fmt.Sprintf("t%d", i)}))
	}
	b.api(http.MethodPost, "/templates", base(nil)).want(t, 422, 1105, "")
}

// PM-sim 27: values are escaped in HTML only; the layout goes around; dropping its placeholder is refused.
func TestRenderingWithLayout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(http.MethodPost, "/templates", object{"Name": "Frame", "Alias": "frame", "TemplateType": "Layout",
		"HtmlBody": "<main>{{{ @content }}}</main>{{foot}}", "TextBody": "== {{{@content}}} =="})
	b.ok(http.MethodPost, "/templates", object{"Name": "Note", "Alias": "note", "Subject": "For {{name}}", "HtmlBody": "<p>{{name}}</p>",
		"TextBody": "{{name}}{{#each items}} {{.}}{{/each}}", "LayoutTemplate": "frame"})
	send := func() message {
		id := b.ok(http.MethodPost, "/email/withTemplate", templated(object{"TemplateAlias": "note",
			"TemplateModel": object{"name": "A & B", "foot": "<f>", "items": []any{1, true, "x"}}})).field(t, "MessageID").(string)
		return b.message(id)
	}
	m := send()
	if m.Subject != "For A & B" || m.HTML != "<main><p>A &amp; B</p></main>&lt;f&gt;" || m.Text != "== A & B 1 True x ==" {
		t.Errorf("%+v", m)
	}
	b.api(http.MethodPut, "/templates/frame", object{"HtmlBody": "<main></main>"}).want(t, 422, 1131, "")
	b.api(http.MethodDelete, "/templates/frame", nil).want(t, 422, 1130, "")
	b.ok(http.MethodPut, "/templates/frame", object{"HtmlBody": "<div>{{{@content}}}</div>"})
	if got := send().HTML; got != "<div><p>A &amp; B</p></div>" {
		t.Errorf("after an edit of the layout: %q", got)
	}
	if got := b.message(m.ID).HTML; got != m.HTML {
		t.Errorf("a sent message has changed with its template: %q", got)
	}
	b.ok(http.MethodPut, "/templates/note", object{"LayoutTemplate": ""})
	if got := send().HTML; got != "<p>A &amp; B</p>" {
		t.Errorf("without layout: %q", got)
	}
	b.ok(http.MethodDelete, "/templates/frame", nil)
}

// PM-sim 27, 29: what Postmark's own examples have and its engine refuses can be switched on, and stays with the templates.
func TestHandlebarsSwitch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	note := object{"Name": "Note", "Alias": "note", "Subject": "s", "TextBody": "{{#if name}}{{name}}{{else}}nobody{{/if}}"}
	b.api(http.MethodPost, "/templates", note).want(t, 422, 1122, "")
	valid := func() any {
		return b.ok(http.MethodPost, "/templates/validate", object{"TextBody": note["TextBody"]}).field(t, "AllContentIsValid")
	}
	if valid() != false {
		t.Error("valid without the switch")
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"handlebars": true}, http.StatusOK)
	if valid() != true {
		t.Error("not valid with the switch")
	}
	b.ok(http.MethodPost, "/templates", note)
	if a := b.ok(http.MethodGet, "/templates/note", nil); a.field(t, "Handlebars") != nil {
		t.Errorf("%s", a.body)
	}
	b.control(http.MethodPut, "/sandbox/settings", object{"handlebars": false}, http.StatusOK)
	for _, b := range []*bench{b, setup(t, in(killed(t, dir, "")))} {
		id := b.ok(http.MethodPost, "/email/withTemplate", templated(object{"TemplateAlias": "note", "TemplateModel": object{}})).field(t, "MessageID").(string)
		if got := b.message(id).Text; got != "nobody" {
			t.Errorf("%q", got)
		}
	}
}

// PM-sim 27, 28: styles are moved into attributes unless the sender does not want it.
func TestInlinedStyles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const styled, inlined = "<style>p{color:red}</style><p>{{name}}</p>", `<style>p{color:red}</style><p style="color: red">Ana</p>`
	b.ok(http.MethodPost, "/templates", object{"Name": "Note", "Alias": "note", "Subject": "s", "HtmlBody": styled})
	for want, inline := range map[string]any{inlined: nil, strings.ReplaceAll(styled, "{{name}}", "Ana"): false} {
		id := b.ok(http.MethodPost, "/email/withTemplate", templated(object{"TemplateAlias": "note", "InlineCss": inline})).field(t, "MessageID").(string)
		if got := b.message(id).HTML; got != want {
			t.Errorf("InlineCss %v: %q", inline, got)
		}
		body := object{"HtmlBody": styled, "TestRenderModel": object{"name": "Ana"}, "InlineCssForHtmlTestRender": inline}
		part, _ := b.ok(http.MethodPost, "/templates/validate", body).field(t, "HtmlBody").(object)
		if part["RenderedContent"] != want {
			t.Errorf("InlineCssForHtmlTestRender %v: %v", inline, part)
		}
	}
	if got := b.message(b.send(object{"HtmlBody": strings.ReplaceAll(styled, "{{name}}", "Ana")})).HTML; got == inlined {
		t.Error("a message without a template has its styles moved")
	}
}

// PM-sim 28, 29.
func TestValidateTemplate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var got, want object
	b.ok(http.MethodPost, "/templates/validate", object{"TextBody": "Test", "Subject": "Test"}).into(t, &got)
	part := object{"ContentIsValid": true, "ValidationErrors": []any{}, "RenderedContent": "Test"}
	want = object{"AllContentIsValid": true, "HtmlBody": nil, "TextBody": part, "Subject": part, "SuggestedTemplateModel": object{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = nil
	b.ok(http.MethodPost, "/templates/validate", object{"HtmlBody": "{{a.b}}{{#each rows}}{{no}}{{/each}}{{#each tags}}{{.}}{{/each}}"}).into(t, &got)
	want = object{"a": object{"b": "b_Value"}, "rows": []any{object{"no": "no_Value"}}, "tags": []any{"tags_1", "tags_2", "tags_3"}}
	if diff := cmp.Diff(want, got["SuggestedTemplateModel"]); diff != "" {
		t.Error(diff)
	}
	for _, source := range []string{"x\n {{#if a}}{{/if a}}", "x\n {{@index}}", "x\n {{first-name}}"} {
		var bad struct {
			AllContentIsValid bool
			HTMLBody          struct {
				ContentIsValid   bool
				ValidationErrors []struct {
					Message                 string
					Line, CharacterPosition int
				}
				RenderedContent *string
			} `json:"HtmlBody"`
		}
		b.ok(http.MethodPost, "/templates/validate", object{"HtmlBody": source}).into(t, &bad)
		if bad.AllContentIsValid || bad.HTMLBody.ContentIsValid || len(bad.HTMLBody.ValidationErrors) == 0 || bad.HTMLBody.RenderedContent != nil {
			t.Fatalf("%q passes: %+v", source, bad)
		}
		if e := bad.HTMLBody.ValidationErrors[0]; e.Line != 2 || e.CharacterPosition != 2 || !strings.Contains(e.Message, "is not valid") {
			t.Errorf("%q: %+v", source, e)
		}
	}
}

// PM-sim 30.
func TestRenderingFailureIsABounce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, five())
	id := b.ok(http.MethodPost, "/email/withTemplate", templated(object{"TemplateModel": object{"steps": "no list"}})).field(t, "MessageID")
	b.pass()
	got := r.next(t).json(t)
	if got["Type"] != "TemplateRenderingFailed" || got["TypeCode"] != 100010.0 || got["MessageID"] != id {
		t.Errorf("%v", got)
	}
}

func TestSeededTemplateRendersWithoutModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := func(model object) message {
		return b.message(b.ok(http.MethodPost, "/email/withTemplate", templated(object{"TemplateModel": model})).field(t, "MessageID").(string))
	}
	empty := send(object{})
	if empty.Subject != "Welcome" || !strings.Contains(empty.HTML, "Hello there,") || !strings.Contains(empty.Text, "Hello there,") {
		t.Errorf("%+v", empty)
	}
	full := send(object{"name": "Ana", "product_name": "Acme", "action_url": "https://acme.example/go", "steps": []string{"one", "two"}})
	for _, want := range []string{"Hello Ana,", "joining Acme.", `href="https://acme.example/go"`, "<li>one</li>", "<li>two</li>"} {
		if !strings.Contains(full.HTML, want) {
			t.Errorf("%q is missing in %s", want, full.HTML)
		}
	}
	if strings.Contains(empty.HTML+full.HTML, "{{") {
		t.Error("a placeholder is left")
	}
}
