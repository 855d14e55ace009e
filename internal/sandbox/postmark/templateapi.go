package postmark

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"postyard/internal/mustachio"
)

// templateShort is what lists and changes answer.
type templateShort struct {
	TemplateID     int64 `json:"TemplateId"`
	Name           string
	Active         bool
	Alias          *string
	TemplateType   string
	LayoutTemplate *string
}

func (t *template) short() templateShort {
	return templateShort{t.TemplateID, t.Name, t.Active, t.Alias, t.TemplateType, t.LayoutTemplate}
}

type templateList struct {
	TotalCount int
	Templates  []templateShort
}

func (s *Simulator) listTemplates(c *call) (any, error) {
	count, offset, err := c.paging(codeTemplateList)
	if err != nil {
		return nil, err
	}
	kind, layout := c.query("TemplateType"), c.query("LayoutTemplate")
	if kind == "" {
		kind = "All"
	}
	if !slices.ContainsFunc([]string{"All", typeStandard, typeLayout},
		func(known string) bool { return strings.EqualFold(known, kind) }) {
		return nil, fail(codeTemplateList, "The 'TemplateType' must be 'All', 'Standard' or 'Layout'.")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := templateList{Templates: []templateShort{}}
	for _, t := range c.server.templates {
		if !t.Active || !strings.EqualFold(kind, "All") && !strings.EqualFold(kind, t.TemplateType) ||
			layout != "" && (t.LayoutTemplate == nil || !strings.EqualFold(*t.LayoutTemplate, layout)) {
			continue
		}
		if list.TotalCount >= offset && len(list.Templates) < count {
			list.Templates = append(list.Templates, t.short())
		}
		list.TotalCount++
	}
	return list, nil
}

func (s *Simulator) getTemplate(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if strings.EqualFold(c.args[0], "validate") {
		return nil, fail(codeNoTemplateData, "No template data received.")
	}
	t, err := c.server.findTemplate(c.args[0])
	if err != nil {
		return nil, err
	}
	shown := *t
	shown.Handlebars = false
	return shown, nil
}

type templateRequest struct {
	Name           *string
	Subject        *string
	HTMLBody       *string `json:"HtmlBody"`
	TextBody       *string
	Alias          *string
	TemplateType   *string
	LayoutTemplate *string
}

// apply puts what the request names into a template; null leaves a field as it is.
func (r *templateRequest) apply(t *template) {
	for _, field := range []struct {
		to   **string
		from *string
	}{{&t.Subject, r.Subject}, {&t.HTMLBody, r.HTMLBody}, {&t.TextBody, r.TextBody}, {&t.Alias, r.Alias},
		{&t.LayoutTemplate, r.LayoutTemplate}} {
		if field.from != nil {
			*field.to = field.from
		}
	}
	if r.Name != nil {
		t.Name = *r.Name
	}
	if t.LayoutTemplate != nil && *t.LayoutTemplate == "" {
		t.LayoutTemplate = nil
	}
}

func (c *call) templateRequest() (r templateRequest, err error) {
	if c.body == nil {
		return r, fail(codeNoTemplateData, "No template data received.")
	}
	return r, decode(c.body, &r)
}

func (s *Simulator) createTemplate(c *call) (any, error) {
	r, err := c.templateRequest()
	if err != nil {
		return nil, err
	}
	t := &template{AssociatedServerID: c.server.id, Active: true, TemplateType: typeStandard}
	if r.TemplateType != nil {
		t.TemplateType = *r.TemplateType
	}
	r.apply(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	active := 0
	for _, other := range c.server.templates {
		if other.Active {
			active++
		}
	}
	if active >= maxTemplates {
		return nil, fail(codeTemplateCount, "A server may have at most %d active templates.", maxTemplates)
	}
	t.TemplateID = c.server.lastTemplate + 1
	return s.acceptTemplate(c.server, t)
}

func (s *Simulator) editTemplate(c *call) (any, error) {
	r, err := c.templateRequest()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := c.server.findActive(c.args[0])
	switch {
	case err != nil:
		return nil, err
	case r.TemplateType != nil && *r.TemplateType != old.TemplateType:
		return nil, fail(codeTemplateBad, "The 'TemplateType' of a template cannot be changed.")
	}
	t := *old
	r.apply(&t)
	if old.TemplateType == typeLayout && old.Alias != nil && *old.Alias != *t.Alias && len(c.server.usersOf(old)) > 0 {
		return nil, fail(codeLayoutUsed, "The layout is used by other templates; its 'Alias' cannot be changed.")
	}
	return s.acceptTemplate(c.server, &t)
}

// acceptTemplate checks and saves. The caller holds mu.
func (s *Simulator) acceptTemplate(v *server, t *template) (any, error) {
	t.Handlebars = s.settings.Of(v.name).Handlebars
	if err := v.checkTemplate(t); err != nil {
		return nil, err
	}
	if err := v.compiles(t); err != nil {
		return nil, err
	}
	for _, user := range v.usersOf(t) {
		if _, err := compile(user, t); err != nil {
			return nil, fail(codeTemplateBad, "The template '%s' could not be parsed inside this layout: %s", user.Name,
				strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if err := s.saveTemplate(v, t); err != nil {
		return nil, err
	}
	return t.short(), nil
}

// usersOf returns the active templates that have t as their layout.
func (v *server) usersOf(t *template) []*template {
	if t.TemplateType != typeLayout || t.Alias == nil {
		return nil
	}
	var users []*template
	for _, user := range v.templates {
		if user.Active && user.LayoutTemplate != nil && strings.EqualFold(*user.LayoutTemplate, *t.Alias) {
			users = append(users, user)
		}
	}
	return users
}

func (s *Simulator) deleteTemplate(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := c.server.findActive(c.args[0])
	switch {
	case err != nil:
		return nil, err
	case len(c.server.usersOf(old)) > 0:
		return nil, fail(codeLayoutUsed, "The layout is used by other templates and cannot be deleted.")
	}
	t := *old
	t.Active = false
	if err := s.saveTemplate(c.server, &t); err != nil {
		return nil, err
	}
	return removed("Template %d removed.", t.TemplateID), nil
}

type validateRequest struct {
	Subject         *string
	HTMLBody        *string `json:"HtmlBody"`
	TextBody        *string
	TestRenderModel map[string]any
	TemplateType    *string
	LayoutTemplate  *string
	InlineCSS       *bool `json:"InlineCssForHtmlTestRender"`
}

type validation struct {
	AllContentIsValid      bool
	HTMLBody               *validatedPart `json:"HtmlBody"`
	TextBody               *validatedPart
	Subject                *validatedPart
	SuggestedTemplateModel map[string]any
}

type validatedPart struct {
	ContentIsValid   bool
	ValidationErrors []validationError
	RenderedContent  *string
}

type validationError struct {
	Message           string
	Line              int
	CharacterPosition int
}

// validateTemplate parses and renders without keeping anything (PM-sim 28, 29).
func (s *Simulator) validateTemplate(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeNoTemplateData, "No template data received.")
	}
	var r validateRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	if r.Subject == nil && r.HTMLBody == nil && r.TextBody == nil {
		return nil, fail(codeTemplateRequired, "Provide at least one of 'Subject', 'HtmlBody' and 'TextBody'.")
	}
	var around template
	if !blank(r.LayoutTemplate) {
		s.mu.RLock()
		layout := c.server.templateByAlias(*r.LayoutTemplate)
		s.mu.RUnlock()
		if layout == nil || layout.TemplateType != typeLayout {
			return nil, fail(codeNoTemplate, "The 'LayoutTemplate' associated with this request is not valid or was not found.")
		}
		around = *layout
	}
	if r.TemplateType != nil && strings.EqualFold(*r.TemplateType, typeLayout) {
		r.HTMLBody, r.TextBody = withoutPlaceholder(r.HTMLBody), withoutPlaceholder(r.TextBody)
	}
	return r.validate(&around, dialect(s.settings.Of(c.server.name).Handlebars)), nil
}

func (r *validateRequest) validate(around *template, as []mustachio.Option) validation {
	subject, subjectErr := parse(r.Subject, nil, as...)
	html, htmlErr := parse(r.HTMLBody, around.HTMLBody, append(as, mustachio.EscapeHTML())...)
	text, textErr := parse(r.TextBody, around.TextBody, as...)
	v := validation{SuggestedTemplateModel: mustachio.Suggest(subject, html, text)}
	model := r.TestRenderModel
	if model == nil {
		model = v.SuggestedTemplateModel
	}
	v.Subject = validated(r.Subject, subject, subjectErr, model)
	v.HTMLBody = validated(r.HTMLBody, html, htmlErr, model)
	v.TextBody = validated(r.TextBody, text, textErr, model)
	if v.HTMLBody != nil && v.HTMLBody.RenderedContent != nil && (r.InlineCSS == nil || *r.InlineCSS) {
		v.HTMLBody.RenderedContent = new(inlineCSS(*v.HTMLBody.RenderedContent))
	}
	v.AllContentIsValid = true
	for _, part := range []*validatedPart{v.Subject, v.HTMLBody, v.TextBody} {
		v.AllContentIsValid = v.AllContentIsValid && (part == nil || part.ContentIsValid)
	}
	return v
}

func validated(body *string, t *mustachio.Template, err error, model map[string]any) *validatedPart {
	if body == nil {
		return nil
	}
	part := &validatedPart{ValidationErrors: []validationError{}}
	var out string
	if err == nil {
		out, err = t.Render(model)
	}
	if err == nil {
		part.ContentIsValid, part.RenderedContent = true, &out
		return part
	}
	mistakes, ok := errors.AsType[mustachio.Errors](err)
	if !ok {
		mistakes = mustachio.Errors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	for _, m := range mistakes {
		part.ValidationErrors = append(part.ValidationErrors, validationError{m.Message, m.Line, m.Column})
	}
	return part
}

// parseModel reads a TemplateModel: an object, or a string that holds one.
func parseModel(raw json.RawMessage) (map[string]any, error) {
	var text string
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, err
		}
		raw = json.RawMessage(text)
	}
	return mustachio.ParseModel(raw)
}
