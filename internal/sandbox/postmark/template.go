package postmark

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postyard/internal/mustachio"
)

const (
	typeStandard = "Standard"
	typeLayout   = "Layout"

	maxTemplates    = 100
	maxTemplateName = 200
	maxAlias        = 200
	maxSubject      = 2000
)

var (
	templateAlias = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._-]*$`)
	placeholder   = regexp.MustCompile(`\{\{\{\s*@content\s*\}\}\}`)
	unsubscribe   = regexp.MustCompile(`\{\{\{\s*pm:unsubscribe(?:_url)?\s*\}\}\}`)
)

// unsubscribeURL stands where a broadcast has its unsubscribe placeholder.
const unsubscribeURL = "https://unsubscribe.sandbox.test/"

// template is also its own document and the long form of the API. It is replaced, not changed, so that messages can hold on to
// the version they were sent with.
type template struct {
	TemplateID         int64 `json:"TemplateId"`
	Name               string
	Subject            *string
	HTMLBody           *string `json:"HtmlBody"`
	TextBody           *string
	AssociatedServerID int `json:"AssociatedServerId"`
	Active             bool
	Alias              *string
	TemplateType       string
	LayoutTemplate     *string
	Handlebars         bool `json:",omitempty"` // not in answers

	parts parts
}

// parts are the parsed bodies, with the layout around them. Absent ones are nil.
type parts struct {
	subject, html, text *mustachio.Template
}

// mayFail tells whether rendering may fail for a TemplateModel; it is cheaper than to try.
func (p parts) mayFail(model json.RawMessage) bool {
	for _, part := range []*mustachio.Template{p.subject, p.html, p.text} {
		if part != nil && part.MayFail(model) {
			return true
		}
	}
	return false
}

// rendered is a template filled in.
type rendered struct {
	subject, html, text string
}

func (p parts) render(model map[string]any) (out rendered, err error) {
	for _, part := range []struct {
		template *mustachio.Template
		to       *string
	}{{p.subject, &out.subject}, {p.html, &out.html}, {p.text, &out.text}} {
		if part.template == nil {
			continue
		}
		if *part.to, err = part.template.Render(model); err != nil {
			return rendered{}, err
		}
	}
	return out, nil
}

// source prepares one body: the layout goes around it, the unsubscribe placeholder becomes a link.
func source(body string, layout *string) string {
	if layout != nil {
		around := placeholder.Split(*layout, 2)
		if len(around) == 2 {
			body = around[0] + body + around[1]
		}
	}
	return unsubscribe.ReplaceAllLiteralString(body, unsubscribeURL)
}

// parse parses one body, if it is there.
func parse(body, layout *string, options ...mustachio.Option) (*mustachio.Template, error) {
	if body == nil {
		return nil, nil
	}
	return mustachio.Parse(source(*body, layout), options...)
}

// dialect is what templates are written in.
func dialect(handlebars bool) []mustachio.Option {
	if handlebars {
		return []mustachio.Option{mustachio.Handlebars()}
	}
	return nil
}

// compile parses the bodies of t inside its layout, which may be nil.
func compile(t, layout *template) (p parts, err error) {
	var around template
	if layout != nil {
		around = *layout
	}
	var errs [3]error
	as := dialect(t.Handlebars)
	p.subject, errs[0] = parse(t.Subject, nil, as...)
	p.html, errs[1] = parse(t.HTMLBody, around.HTMLBody, append(as, mustachio.EscapeHTML())...)
	p.text, errs[2] = parse(t.TextBody, around.TextBody, as...)
	return p, errors.Join(errs[:]...)
}

func (v *server) templateByAlias(alias string) *template {
	for _, t := range v.templates {
		if t.Active && t.Alias != nil && strings.EqualFold(*t.Alias, alias) {
			return t
		}
	}
	return nil
}

func (v *server) templateByID(id int64) *template {
	for _, t := range v.templates {
		if t.TemplateID == id {
			return t
		}
	}
	return nil
}

// findTemplate finds a template by the id or alias of a path. Deleted ones stay readable by id.
func (v *server) findTemplate(idOrAlias string) (*template, error) {
	var t *template
	if id, err := strconv.ParseInt(idOrAlias, 10, 64); err == nil {
		t = v.templateByID(id)
	} else {
		t = v.templateByAlias(idOrAlias)
	}
	if t == nil {
		return nil, noTemplate()
	}
	return t, nil
}

// findActive is findTemplate for changes: a deleted template takes none.
func (v *server) findActive(idOrAlias string) (*template, error) {
	t, err := v.findTemplate(idOrAlias)
	if err == nil && !t.Active {
		err = noTemplate()
	}
	return t, err
}

func noTemplate() error {
	return fail(codeNoTemplate, "The 'TemplateId' associated with this request is not valid or was not found.")
}

// layoutOf returns the layout of a template, or nil.
func (v *server) layoutOf(t *template) *template {
	if t.LayoutTemplate == nil {
		return nil
	}
	return v.templateByAlias(*t.LayoutTemplate)
}

// putTemplate puts a template in force. Those that use it as a layout are compiled anew.
func (v *server) putTemplate(t *template) error {
	var err error
	if t.TemplateType != typeLayout { // a layout is only ever parsed around something
		if t.parts, err = compile(t, v.layoutOf(t)); err != nil {
			return err
		}
	}
	v.lastTemplate = max(v.lastTemplate, t.TemplateID)
	if at := slices.IndexFunc(v.templates, func(old *template) bool { return old.TemplateID == t.TemplateID }); at >= 0 {
		v.templates[at] = t
	} else {
		v.templates = append(v.templates, t)
	}
	if t.TemplateType != typeLayout {
		return nil
	}
	for i, user := range v.templates {
		if v.layoutOf(user) != t {
			continue
		}
		fresh := *user
		if fresh.parts, err = compile(user, t); err != nil {
			return err
		}
		v.templates[i] = &fresh
	}
	return nil
}

func (v *server) restoreTemplate(value json.RawMessage) error {
	var t template
	if err := json.Unmarshal(value, &t); err != nil {
		return err
	}
	return v.putTemplate(&t)
}

// saveTemplate keeps a template and puts it in force. The caller holds mu and has compiled it once.
func (s *Simulator) saveTemplate(v *server, t *template) error {
	if err := s.keep(v, kindTemplate, strconv.FormatInt(t.TemplateID, 10), t); err != nil {
		return err
	}
	return v.putTemplate(t)
}

// checkTemplate holds the rules for a template that is to be saved (PM-sim 26, 27).
func (v *server) checkTemplate(t *template) error {
	switch {
	case strings.TrimSpace(t.Name) == "":
		return fail(codeTemplateRequired, "The 'Name' of the template is required.")
	case utf8.RuneCountInString(t.Name) > maxTemplateName:
		return fail(codeTemplateLong, "The 'Name' of the template may be at most %d characters long.", maxTemplateName)
	case t.HTMLBody != nil && len(*t.HTMLBody) > maxPart:
		return fail(codeTemplateLong, "The 'HtmlBody' of the template may be at most %d bytes long.", maxPart)
	case t.TextBody != nil && len(*t.TextBody) > maxPart:
		return fail(codeTemplateLong, "The 'TextBody' of the template may be at most %d bytes long.", maxPart)
	case blank(t.HTMLBody) && blank(t.TextBody):
		return fail(codeTemplateRequired, "Either an 'HtmlBody' or a 'TextBody' of the template is required.")
	case t.TemplateType != typeStandard && t.TemplateType != typeLayout:
		return fail(codeTemplateBad, "The 'TemplateType' must be 'Standard' or 'Layout'.")
	}
	if err := v.checkAlias(t); err != nil {
		return err
	}
	if t.TemplateType == typeLayout {
		return checkLayout(t)
	}
	switch {
	case blank(t.Subject):
		return fail(codeTemplateRequired, "The 'Subject' of the template is required.")
	case utf8.RuneCountInString(*t.Subject) > maxSubject:
		return fail(codeTemplateLong, "The 'Subject' of the template may be at most %d characters long.", maxSubject)
	}
	return v.checkUsesLayout(t)
}

func blank(text *string) bool { return text == nil || *text == "" }

func (v *server) checkAlias(t *template) error {
	if t.Alias == nil {
		return nil
	}
	if len(*t.Alias) > maxAlias {
		return fail(codeTemplateLong, "The 'Alias' of the template may be at most %d characters long.", maxAlias)
	}
	if !templateAlias.MatchString(*t.Alias) {
		return fail(codeTemplateBad, "The 'Alias' must begin with a letter and may hold only letters, digits, '.', '-' and '_'.")
	}
	if other := v.templateByAlias(*t.Alias); other != nil && other.TemplateID != t.TemplateID {
		return fail(codeTemplateBad, "The 'Alias' '%s' is in use by another template.", *t.Alias)
	}
	return nil
}

func checkLayout(t *template) error {
	if !blank(t.Subject) {
		return fail(codeTemplateExcludes, "A layout cannot have a 'Subject'.")
	}
	if t.LayoutTemplate != nil {
		return fail(codeTemplateExcludes, "A layout cannot have a 'LayoutTemplate'.")
	}
	for _, body := range []*string{t.HTMLBody, t.TextBody} {
		if !blank(body) && len(placeholder.FindAllStringIndex(*body, 2)) != 1 {
			return fail(codePlaceholder, "The layout content placeholder must be present exactly once in each body of the layout:"+
				" {{{ @content }}}.")
		}
	}
	return nil
}

func (v *server) checkUsesLayout(t *template) error {
	if t.LayoutTemplate == nil {
		return nil
	}
	if layout := v.layoutOf(t); layout == nil || layout.TemplateType != typeLayout {
		return fail(codeNoTemplate, "The 'LayoutTemplate' associated with this request is not valid or was not found.")
	}
	return nil
}

// compiles checks that the bodies can be parsed, alone and inside the layout.
func (v *server) compiles(t *template) error {
	bare := *t
	if t.TemplateType == typeLayout {
		bare.HTMLBody, bare.TextBody = withoutPlaceholder(t.HTMLBody), withoutPlaceholder(t.TextBody)
	}
	if _, err := compile(&bare, v.layoutOf(t)); err != nil {
		return fail(codeTemplateBad, "The template could not be parsed: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

func withoutPlaceholder(body *string) *string {
	if body == nil {
		return nil
	}
	return new(placeholder.ReplaceAllLiteralString(*body, ""))
}

// seedTemplate is the template that every sandbox starts with.
func seedTemplate(serverID int) *template {
	return &template{TemplateID: 1, Name: "Welcome", Subject: new(welcomeSubject), HTMLBody: new(welcomeHTML), TextBody: new(welcomeText),
		AssociatedServerID: serverID, Active: true, Alias: new(DemoTemplateAlias), TemplateType: typeStandard}
}

func seedServer(now time.Time) (*server, error) {
	v := &server{id: 1, name: "Sandbox", token: DemoServerToken, options: seedOptions("Sandbox"), streams: seedStreams(now),
		suppressions: map[suppressionKey]*suppression{}}
	return v, v.putTemplate(seedTemplate(v.id))
}
