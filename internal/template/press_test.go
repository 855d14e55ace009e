package template

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/handlebars"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// fields are custom fields.
func fields(text string) json.RawMessage { return json.RawMessage(text) }

func TestPersonalised(t *testing.T) {
	t.Parallel()
	p := newPress()
	c := &mail.Content{Subject: "Hi {{name}}\n{{n}}", PreText: "for {{name}}", HTML: "<p>{{name}} {{{name}}}</p>{{#each list}}{{this}},{{/each}}", Text: "{{name}} {{a.b}}",
		AMP: "<html amp4email>{{name}}", CustomFields: fields(`{"name":"nobody","a":{"b":"c"}}`), Headers: map[string]string{"X-A": "{{name}}"}}
	before := *c
	got, err := p.fill(c, fields(`{"name":"A & B","list":[1,2],"n":"x\r\ny"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.Subject, want.PreText, want.HTML, want.Text, want.AMP = "Hi A & B x y", "for A & B", "<p>A &amp; B A & B</p>1,2,", "A & B c", "<html amp4email>A &amp; B"
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&before, c); diff != "" {
		t.Errorf("the shared content was changed: %s", diff)
	}
	for name, same := range map[string]*mail.Content{"no tags": {Subject: "a", HTML: "<style>a{b:c}</style>", CustomFields: fields("no JSON")}, "literal": {Text: "{{name}}", Literal: true}} {
		if got, err := p.fill(same, nil, nil); got != same || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Mail that was accepted before tags meant anything.
	if got, err := p.fill(&mail.Content{Text: "{{ a", HTML: "{{a}}"}, fields(`{"a":1}`), nil); err != nil || got.Text != "{{ a" || got.HTML != "1" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUnsubscribeLink(t *testing.T) {
	t.Parallel()
	p := newPress()
	calls := 0
	link := func() string { calls++; return "https://example.com/u?a=1&b=2" }
	c := &mail.Content{HTML: "<a href='{{unsubscribe}}'>{{#each l}}{{unsubscribe}}{{/each}}", Text: "{{{unsubscribe}}}", CustomFields: fields(`{"l":[{}],"unsubscribe":"mine"}`)}
	got, err := p.fill(c, nil, link)
	escaped := "https://example.com/u?a&#x3D;1&amp;b&#x3D;2"
	if err != nil || got.HTML != "<a href='"+escaped+"'>"+escaped || got.Text != "https://example.com/u?a=1&b=2" || calls != 1 {
		t.Errorf("%+v, %v, %d calls", got, err, calls)
	}
	if _, err := p.fill(&mail.Content{Text: "{{name}}"}, nil, link); err != nil || calls != 1 {
		t.Errorf("a link that is not used: %v, %d calls", err, calls)
	}
}

func TestNotPersonalised(t *testing.T) {
	t.Parallel()
	p := newPress()
	for name, tc := range map[string]struct {
		c     mail.Content
		words string
	}{
		"a long subject": {mail.Content{Subject: "{{s}}{{s}}", CustomFields: fields(`{"s":"` + strings.Repeat("ä", 1001) + `"}`)}, "2002 characters"},
		"deep fields":    {mail.Content{Text: "{{s}}", CustomFields: fields(`{"s":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`)}, "nest too deep"},
		"no object":      {mail.Content{Text: "{{s}}", CustomFields: fields(`[]`)}, "not a JSON object"},
		"too much":       {mail.Content{Text: strings.Repeat("{{s}}", 20), CustomFields: fields(`{"s":"` + strings.Repeat("x", 1<<20) + `"}`)}, "the textBody cannot be filled in"},
	} {
		if got, err := p.fill(&tc.c, nil, nil); got != nil || err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChecked(t *testing.T) {
	t.Parallel()
	p := newPress()
	for _, tc := range []struct {
		c    mail.Content
		want string
	}{
		{mail.Content{Subject: "{{name}}", PreText: "}}", HTML: "{{#if a}}{{/if}}", Text: "{ {a"}, ""},
		{mail.Content{Subject: "{{name"}, "subject: line 1: a tag is not closed"},
		{mail.Content{PreText: "{{#if}}"}, "preText: line 1: {{#if}} needs a value"},
		{mail.Content{HTML: "<p>\n{{/if}}"}, "htmlBody: line 2: {{/if}} closes no block"},
		{mail.Content{Text: "\n\n{{> a}}"}, "textBody: line 3: partials and decorators are not supported"},
		{mail.Content{AMP: "{{log a}}"}, `ampBody: line 1: there is no helper "log": there are if, unless, each, with and lookup`},
		{mail.Content{Text: "{{", Literal: true}, ""},
		{mail.Content{HTML: "{{{ pm:unsubscribe }}}"}, ""},
	} {
		bad := p.check(&tc.c)
		if bad == nil && tc.want != "" || bad != nil && (bad.Error() != tc.want || bad.Code != "template_syntax") {
			t.Errorf("%v, want %s", bad, tc.want)
		}
	}
}

// What was parsed before gives what parsing anew gives, however much is parsed in between.
func TestParsedOnce(t *testing.T) {
	t.Parallel()
	p := newPress()
	parse := func(source string, html bool) *handlebars.Template {
		got, err := p.parse(source, html)
		if err != nil || got.Source() != source {
			t.Fatalf("%q: %v", source, err)
		}
		return got
	}
	first := parse("{{a}}", true)
	if parse("{{a}}", true) != first || parse("{{a}}", false) == first {
		t.Error("a source is not kept, or for HTML and text alike")
	}
	large := strings.Repeat("x", 1<<20)
	for i := range 40 {
		parse(fmt.Sprint(large, i), false)
		if i == 20 && parse("{{a}}", true) != first {
			t.Error("what is used goes as soon as what is not")
		}
		if p.weight > pressBytes {
			t.Fatalf("%d bytes are kept", p.weight)
		}
	}
	if n := len(p.young) + len(p.old); n > 40 {
		t.Errorf("%d sources are kept", n)
	}
}

// Where it goes and what was sent before change nothing: the same message gives the same text.
func TestPersonalisedTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &mail.Content{Text: rapid.StringMatching(`(\{\{(name|a\.b|#each o|/each|this|@key|else|#if name|/if)\}\}| x\n?){0,8}`).Draw(t, "text"),
			CustomFields: fields(`{"o":{"z":1,"y":{"b":2},"x":[3]},"name":"request"}`)}
		c.HTML = c.Text
		own := fields(rapid.SampledFrom([]string{"", "null", `{"name":"<b>"}`, `{"a":{"b":"c"}}`}).Draw(t, "fields"))
		if newPress().check(c) != nil {
			t.Skip("not a template")
		}
		p := newPress()
		one, err := p.fill(c, own, nil)
		two, again := p.fill(c, own, nil)
		other, elsewhere := newPress().fill(c, own, nil)
		if err != nil || again != nil || elsewhere != nil {
			t.Fatal(err, again, elsewhere)
		}
		if diff := cmp.Diff(one, two) + cmp.Diff(one, other); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The request's own body is personalised for every egress that it leaves through; what a provider renders or the mirror gave is not touched.
func TestWhatIsPersonalised(t *testing.T) {
	t.Parallel()
	var asked []route.Egress
	s := &Service{press: newPress(), Config: Config{Unsubscribe: func(j *store.Job, e route.Egress) string {
		asked = append(asked, e)
		return j.Recipient.Email
	}}}
	j := &store.Job{Egress: 7, Content: &mail.Content{Text: "{{name}} {{unsubscribe}}"}, Recipient: mail.Recipient{Address: mail.Address{Email: "a@b.co"},
		CustomFields: fields(`{"name":"Ana","unsubscribe":"x"}`)}}
	for _, capable := range []provider.Capabilities{{}, {Templates: true}} {
		got, none := s.Outgoing(t.Context(), &directory.TPSP{ID: 7, AllowRaw: true}, capable, j)
		if none != nil || got.Text != "Ana a@b.co" {
			t.Errorf("%+v, %+v", got, none)
		}
	}
	if len(asked) != 2 || asked[0] != 7 {
		t.Errorf("links were asked for through %v", asked)
	}
	s.Unsubscribe = nil
	if got, none := s.Outgoing(t.Context(), &directory.TPSP{ID: 7}, provider.Capabilities{}, j); none != nil || got.Text != "Ana " {
		t.Errorf("without links: %+v, %+v", got, none)
	}
	j.Content = &mail.Content{Text: "{{name}}", CustomFields: fields("[")}
	got, none := s.Outgoing(t.Context(), &directory.TPSP{ID: 7}, provider.Capabilities{}, j)
	if got != nil || none == nil || none.Class != provider.Rejected || !none.Unsent {
		t.Errorf("%+v, %+v", got, none)
	}
}

func BenchmarkFill(b *testing.B) {
	html := strings.Repeat("<p>Some text of a letter, with words that stand between tags</p>\n", 300)
	own := fields(`{"name":"Ana","order":{"id":1234,"total":19.9},"items":[{"n":"tea","q":2},{"n":"cake","q":1}]}`)
	for name, c := range map[string]*mail.Content{
		"without tags": {Subject: "Hello", HTML: html, Text: "Hello"},
		"with tags": {Subject: "Hello {{name}}", HTML: html + "Hello {{name}}: {{order.total}} {{#each items}}{{q}} {{n}}{{/each}}" + html,
			Text: "Hello {{name}}: {{order.total}} {{#each items}}{{q}} {{n}}{{/each}}"},
	} {
		b.Run(name, func(b *testing.B) {
			p := newPress()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.fill(c, own, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
