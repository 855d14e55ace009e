package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The page needs no program and nothing from elsewhere: one document with its style, which the policy names by its hash.

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets the page have its own style, and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// pageData is what the template shows.
type pageData struct {
	Info   apiInfo
	Style  template.CSS
	Groups []pageGroup
	Types  []pageType
}

type pageGroup struct {
	Name       string
	Operations []pageOperation
}

type pageOperation struct {
	*apiOperation
	Method, Path string
	Key          string
	Status       int
	Foreign      bool // it refuses in the form of another vendor
	Body, Answer *pageShape
}

// pageShape is a body: what it is in one line, and the type's name when it is one.
type pageShape struct {
	Words string
	Type  string
}

type pageType struct {
	Name   string
	Fields []pageField
}

type pageField struct {
	Name, Note string
	Optional   bool
	Shape      pageShape
}

func renderPage(doc *openAPI) ([]byte, error) {
	data := pageData{Info: doc.Info, Style: template.CSS(pageStyle)} //nolint:gosec // our own file
	places := map[string]int{}
	for i, tag := range doc.Tags {
		places[tag.Name] = i
		data.Groups = append(data.Groups, pageGroup{Name: tag.Name})
	}
	for _, path := range doc.Paths.names {
		methods := doc.Paths.of[path]
		for _, method := range []string{"get", "post", "put", "delete"} {
			if o := methods[method]; o != nil {
				group := &data.Groups[places[o.Tags[0]]]
				group.Operations = append(group.Operations, pageOperationOf(o))
			}
		}
	}
	names := make([]string, 0, len(doc.Components.Schemas))
	for name := range doc.Components.Schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		data.Types = append(data.Types, pageTypeOf(name, doc.Components.Schemas[name]))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("render the API's page: %w", err)
	}
	return b.Bytes(), nil
}

func pageOperationOf(o *apiOperation) pageOperation {
	p := pageOperation{apiOperation: o, Method: o.method, Path: o.path, Key: string(o.auth), Status: o.status, Foreign: o.foreign}
	if o.auth == noKey {
		p.Key = "no key"
	}
	if o.Body != nil {
		p.Body = contentShape(o.Body.Content)
	}
	for status, answer := range o.Answers {
		if status != "default" {
			p.Answer = contentShape(answer.Content)
		}
	}
	return p
}

func contentShape(content map[string]apiContent) *pageShape {
	if len(content) == 0 {
		return nil
	}
	if c, ok := content[jsonMedia]; ok {
		shape := shapeOf(c.Schema)
		return &shape
	}
	return &pageShape{Words: strings.Join(slices.Sorted(maps.Keys(content)), " or ")}
}

// shapeOf says what a schema is: "list of", with the Type that follows.
func shapeOf(s *schema) pageShape {
	switch {
	case s.Ref != "":
		return pageShape{Type: strings.TrimPrefix(s.Ref, "#/components/schemas/")}
	case len(s.AnyOf) > 0:
		of := shapeOf(s.AnyOf[0])
		if of.Type != "" {
			return pageShape{"null or", of.Type}
		}
		return pageShape{of.Words + " or null", ""}
	case s.Items != nil:
		of := shapeOf(s.Items)
		return pageShape{strings.TrimSpace("list of " + of.Words), of.Type}
	case s.Type == "object" && s.Others != nil && s.Others != false:
		if values, ok := s.Others.(*schema); ok {
			of := shapeOf(values)
			return pageShape{strings.TrimSpace("map to " + of.Words), of.Type}
		}
	case s.Type == "":
		return pageShape{Words: "any JSON"}
	case s.Format == "int64" || s.Format == "int32":
		return pageShape{Words: s.Format}
	}
	return pageShape{Words: s.Type}
}

func pageTypeOf(name string, s *schema) pageType {
	t := pageType{Name: name}
	if s.Properties == nil {
		return t
	}
	for _, field := range s.Properties.names {
		of := s.Properties.of[field]
		t.Fields = append(t.Fields, pageField{Name: field, Note: of.Description, Shape: shapeOf(of),
			Optional: s.Others == false && !slices.Contains(s.Required, field)})
	}
	return t
}

func (s *server) getPage(w http.ResponseWriter, _ *http.Request) error {
	made, err := s.described()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(made.page) // that the client is gone is no error of ours
	return nil
}
