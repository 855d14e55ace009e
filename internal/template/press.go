package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"unicode/utf8"

	"postyard/internal/handlebars"
	"postyard/internal/mail"
)

// UnsubscribeField is the name that stands for a message's unsubscribe link: {{unsubscribe}}. Custom fields cannot have it.
const UnsubscribeField = "unsubscribe"

// postmarkPrefix begins the placeholders that Postmark fills in, in bodies as in templates: {{{ pm:unsubscribe }}}.
const postmarkPrefix = "pm:"

// part is a part of a content that is personalised.
type part struct {
	field string // of a request
	html  bool   // values are escaped for HTML
	of    func(*mail.Content) *string
}

var parts = [...]part{
	{"subject", false, func(c *mail.Content) *string { return &c.Subject }},
	{"preText", false, func(c *mail.Content) *string { return &c.PreText }}, // who puts it into HTML escapes it
	{"htmlBody", true, func(c *mail.Content) *string { return &c.HTML }},
	{"textBody", false, func(c *mail.Content) *string { return &c.Text }},
	{"ampBody", true, func(c *mail.Content) *string { return &c.AMP }},
}

// hasTags tells whether there may be anything to fill in; it costs next to nothing.
func hasTags(text string) bool { return strings.Contains(text, "{{") }

// press fills contents in for recipients (TP-1). It keeps what was parsed last.
type press struct {
	seed maphash.Seed
	mu   sync.Mutex
	// Two generations: when the young one is full, the old one is forgotten.
	young, old map[sourceKey]*handlebars.Template
	weight     int
}

type sourceKey struct {
	hash   uint64
	length int
	html   bool
}

// pressBytes is about how many bytes one generation of parsed contents takes.
const pressBytes = 16 << 20

func newPress() *press {
	return &press{seed: maphash.MakeSeed(), young: map[sourceKey]*handlebars.Template{}}
}

// parse returns a parsed source. The error is a *handlebars.SyntaxError.
func (p *press) parse(source string, html bool) (*handlebars.Template, error) {
	key := sourceKey{maphash.String(p.seed, source), len(source), html}
	if t := p.cached(key); t != nil && t.Source() == source {
		return t, nil
	}
	options := []handlebars.Option{handlebars.Reserve(UnsubscribeField), handlebars.Keep(postmarkPrefix)}
	if html {
		options = append(options, handlebars.EscapeHTML())
	}
	t, err := handlebars.Parse(source, options...)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(key, t)
	return t, nil
}

func (p *press) cached(key sourceKey) *handlebars.Template {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.young[key]
	if t == nil {
		if t = p.old[key]; t != nil {
			p.keep(key, t)
		}
	}
	return t
}

func (p *press) keep(key sourceKey, t *handlebars.Template) {
	if p.weight += t.Weight(); p.weight > pressBytes {
		p.young, p.old, p.weight = map[sourceKey]*handlebars.Template{}, p.young, t.Weight()
	}
	p.young[key] = t
}

// check says what is wrong with the tags of a content, or nil.
func (p *press) check(c *mail.Content) *mail.FieldError {
	if c.Literal {
		return nil
	}
	for i := range parts {
		if bad := p.checkPart(parts[i].field, *parts[i].of(c), parts[i].html); bad != nil {
			return bad
		}
	}
	return nil
}

// checkPart says what is wrong with the tags of a part, or nil.
func (p *press) checkPart(field, source string, html bool) *mail.FieldError {
	if !hasTags(source) {
		return nil
	}
	if _, err := p.parse(source, html); err != nil {
		return mail.Invalid("template_syntax", field, "%s", err)
	}
	return nil
}

// fill returns a content as one recipient gets it, which is the same one when there is nothing to fill in. A part that cannot be parsed, of
// a message that was accepted before parts were, stays as it is.
func (p *press) fill(c *mail.Content, recipient json.RawMessage, unsubscribe func() string) (*mail.Content, error) {
	if c.Literal {
		return c, nil
	}
	var out *mail.Content
	var model handlebars.Model
	linked := false
	for i := range parts {
		source := *parts[i].of(c)
		if !hasTags(source) {
			continue
		}
		t, err := p.parse(source, parts[i].html)
		if err != nil {
			continue
		}
		if out == nil {
			if model, err = modelOf(c, recipient); err != nil {
				return nil, err
			}
			copied := *c
			out = &copied
		}
		if !linked && t.UsesReserved() {
			model, linked = model.With(UnsubscribeField, unsubscribe()), true
		}
		text, err := t.Render(model)
		if err != nil {
			return nil, fmt.Errorf("the %s cannot be filled in: %w", parts[i].field, err)
		}
		*parts[i].of(out) = text
	}
	if out == nil {
		return c, nil
	}
	out.Subject = oneLine(out.Subject)
	if n := utf8.RuneCountInString(out.Subject); n > mail.MaxSubject {
		return nil, fmt.Errorf("the subject has %d characters when it is filled in; %d are allowed", n, mail.MaxSubject)
	}
	return out, nil
}

// modelOf returns the custom fields of a request and a recipient, the recipient's winning.
func modelOf(c *mail.Content, recipient json.RawMessage) (handlebars.Model, error) {
	fields, err := mail.MergeFields(c.CustomFields, recipient)
	if err != nil {
		return handlebars.Model{}, err
	}
	model, err := handlebars.ParseModel(fields)
	if err != nil {
		return handlebars.Model{}, errors.New("the customFields nest too deep to be filled in")
	}
	return model, nil
}

var lineBreaks = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\x00", "")

// oneLine keeps a value from writing headers of its own.
func oneLine(text string) string { return lineBreaks.Replace(text) }
