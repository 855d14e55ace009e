package api

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"postyard/internal/member"
)

// The OpenAPI 3.1 document is made from the table of operations and the Go types that they read and write, so it cannot differ from
// them. What the fields mean is taken from their comments (notes.json).

//go:embed notes.json
var notesFile []byte

// openAPI is the document.
type openAPI struct {
	OpenAPI    string     `json:"openapi"`
	Info       apiInfo    `json:"info"`
	Servers    []apiURL   `json:"servers"`
	Tags       []apiTag   `json:"tags"`
	Paths      apiPaths   `json:"paths"`
	Components components `json:"components"`
}

type apiInfo struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type apiURL struct {
	URL string `json:"url"`
}

type apiTag struct {
	Name string `json:"name"`
}

// apiPaths are the operations by path and method, in the order of the table.
type apiPaths struct {
	names []string
	of    map[string]map[string]*apiOperation
}

// MarshalJSON keeps the order.
func (p apiPaths) MarshalJSON() ([]byte, error) {
	return marshalOrdered(p.names, func(name string) any { return p.of[name] })
}

type apiOperation struct {
	ID         string                 `json:"operationId"`
	Tags       []string               `json:"tags"`
	Summary    string                 `json:"summary"`
	Parameters []apiParameter         `json:"parameters,omitempty"`
	Body       *apiBody               `json:"requestBody,omitempty"`
	Answers    map[string]apiResponse `json:"responses"`
	Security   []map[string][]string  `json:"security"`

	method, path string
	auth         auth
	status       int
	foreign      bool
}

type apiParameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Required    bool    `json:"required,omitempty"`
	Description string  `json:"description,omitempty"`
	Schema      *schema `json:"schema"`
}

type apiBody struct {
	Required bool                  `json:"required"`
	Content  map[string]apiContent `json:"content"`
}

type apiContent struct {
	Schema *schema `json:"schema"`
}

type apiResponse struct {
	Description string                `json:"description"`
	Content     map[string]apiContent `json:"content,omitempty"`
}

type components struct {
	Schemas  map[string]*schema        `json:"schemas"`
	Security map[string]securityScheme `json:"securitySchemes"`
}

type securityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme,omitempty"`
	Name        string `json:"name,omitempty"`
	In          string `json:"in,omitempty"`
	Description string `json:"description,omitempty"`
}

// jsonMedia is what bodies are unless an operation says otherwise.
const jsonMedia = "application/json"

// formMedia is a form with a file.
const formMedia = "multipart/form-data"

// The names of the ways to authenticate.
const (
	accountScheme    = "account"
	subAccountScheme = "subAccount"
	webhookScheme    = "webhook"
	sessionScheme    = "session"
)

// apiDescription is what readers are told about all operations.
const apiDescription = "Every path is served with and without a trailing slash. Bodies and answers are JSON unless an operation says otherwise. Times " +
	"are nanoseconds since the UNIX epoch, dates are YYYY-MM-DD in UTC. A refusal of any operation is a Problem."

// document makes the OpenAPI document of operations.
func document(operations []operation, of *schemas) *openAPI {
	doc := &openAPI{OpenAPI: "3.1.0", Info: apiInfo{Title: "Postyard API", Version: "v1", Description: apiDescription}, Servers: []apiURL{{"/"}},
		Paths: apiPaths{of: map[string]map[string]*apiOperation{}},
		Components: components{Schemas: of.list, Security: map[string]securityScheme{
			accountScheme:    {Type: "apiKey", In: "header", Name: string(accountKey), Description: "the key of an account"},
			subAccountScheme: {Type: "apiKey", In: "header", Name: string(subAccountKey), Description: "the key of a sub-account"},
			sessionScheme: {Type: "apiKey", In: "cookie", Name: "postyard_session", Description: "a session of the dashboard, where no key is sent; with https its name " +
				"is __Host-postyard_session. What changes something carries the header " + member.CSRFHeader + ", and what is of a sub-account names it in " + subAccountHeader},
			webhookScheme: {Type: "http", Scheme: "basic", Description: "what was registered at the provider with the webhook"},
		}}}
	refusal := of.of(reflect.TypeFor[problem](), inAnswers)
	tags := map[string]bool{}
	for _, o := range operations {
		one := describeOperation(&o, of)
		refused := apiResponse{Description: "a refusal", Content: map[string]apiContent{jsonMedia: {refusal}}}
		switch {
		case o.foreign:
			refused = apiResponse{Description: "a refusal in the other vendor's form", Content: map[string]apiContent{jsonMedia: {&schema{}}}}
		case o.people:
			refused.Content["text/html"] = apiContent{&schema{Type: "string"}}
		}
		one.Answers["default"] = refused
		if doc.Paths.of[o.Path] == nil {
			doc.Paths.names = append(doc.Paths.names, o.Path)
			doc.Paths.of[o.Path] = map[string]*apiOperation{}
		}
		doc.Paths.of[o.Path][strings.ToLower(o.Method)] = one
		if tag := one.Tags[0]; !tags[tag] {
			tags[tag] = true
			doc.Tags = append(doc.Tags, apiTag{tag})
		}
	}
	return doc
}

func describeOperation(o *operation, of *schemas) *apiOperation {
	status := cmp.Or(o.status, http.StatusOK)
	one := &apiOperation{ID: operationID(o), Tags: []string{operationTag(o.Path)}, Summary: o.Summary, Security: []map[string][]string{},
		method: o.Method, path: o.Path, auth: o.Auth, status: status, foreign: o.foreign}
	switch o.Auth {
	case accountKey:
		one.Security = append(one.Security, map[string][]string{accountScheme: {}}, map[string][]string{sessionScheme: {}})
	case subAccountKey:
		one.Security = append(one.Security, map[string][]string{subAccountScheme: {}}, map[string][]string{sessionScheme: {}})
	case webhookKey:
		one.Security = append(one.Security, map[string][]string{webhookScheme: {}})
	}
	for _, segment := range strings.Split(o.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			one.Parameters = append(one.Parameters, apiParameter{Name: name, In: "path", Required: true, Schema: pathSchema(o.Path, name)})
		}
	}
	for _, p := range o.query {
		one.Parameters = append(one.Parameters, apiParameter{Name: p.Name, In: "query", Required: p.Required, Description: p.Summary, Schema: p.schema()})
	}
	if o.takes != nil || len(o.files) > 0 {
		one.Body = &apiBody{Required: !o.spare, Content: map[string]apiContent{}}
	}
	if o.takes != nil {
		one.Body.Content[jsonMedia] = apiContent{of.of(reflect.TypeOf(o.takes), inRequests)}
	}
	for _, media := range o.files {
		one.Body.Content[media] = apiContent{fileSchema(media)}
	}
	success := apiResponse{Description: "what was asked for"}
	switch {
	case o.gives != nil:
		success.Content = map[string]apiContent{jsonMedia: {of.of(reflect.TypeOf(o.gives), inAnswers)}}
	case len(o.media) > 0:
		success.Content = map[string]apiContent{}
		for _, media := range o.media {
			success.Content[media] = apiContent{&schema{Type: "string"}}
		}
	}
	one.Answers = map[string]apiResponse{strconv.Itoa(status): success}
	return one
}

// fileSchema is a body that is no JSON: a file, or a form with one.
func fileSchema(media string) *schema {
	file := &schema{Type: "string"}
	if media != formMedia {
		return file
	}
	return &schema{Type: "object", Properties: &properties{names: []string{"file"}, of: map[string]*schema{"file": file}}, Required: []string{"file"}}
}

// operationID is a name for generated clients: getAccountIppoolIdWarnings.
func operationID(o *operation) string {
	words := strings.FieldsFunc(strings.TrimPrefix(o.Path, "/api/v1"), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	})
	id := strings.ToLower(o.Method)
	for _, word := range words {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

// operationTag says what an operation is about: email, tpsp, ippool, stat, ...
func operationTag(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	const prefix = 3 // api, v1, the kind of the owner
	if len(segments) <= prefix || segments[0] != "api" {
		return "server"
	}
	if of := segments[prefix:]; len(of) > 1 && of[1] == "stat" {
		return "stat"
	}
	return segments[prefix]
}

// pathSchema is what stands in a path. The ids of messages and events are texts.
func pathSchema(path, name string) *schema {
	if name == "id" && !strings.Contains(path, "/message/") && !strings.Contains(path, "/event/") {
		return &schema{Type: "integer", Format: "int32"}
	}
	return &schema{Type: "string"}
}

func (p *parameter) schema() *schema {
	switch p.Kind {
	case "integer":
		return &schema{Type: p.Kind, Format: "int64"}
	case "date":
		return &schema{Type: "string", Format: p.Kind}
	}
	return &schema{Type: p.Kind}
}

// served is the document and the page, made when they are first asked for.
type served struct {
	document []byte
	page     []byte
}

// describe makes them.
func (s *server) describe() (*served, error) {
	var notes map[string]string
	if err := json.Unmarshal(notesFile, &notes); err != nil {
		return nil, fmt.Errorf("read the notes of fields: %w", err)
	}
	doc := document(s.operations(), newSchemas(notes))
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the API's document: %w", err)
	}
	page, err := renderPage(doc)
	return &served{append(text, '\n'), page}, err
}

// documentOperations are those that describe the API.
func (s *server) documentOperations() []operation {
	return []operation{
		op(http.MethodGet, "/openapi.json", noKey, "read the API's OpenAPI 3.1 document", s.forAnyone(s.getDocument)).
			answers(http.StatusOK, map[string]any{}),
		op(http.MethodGet, "/docs", noKey, "read about the API in a browser", s.forAnyone(s.getPage)).
			answers(http.StatusOK, nil).as("text/html"),
	}
}

func (s *server) getDocument(w http.ResponseWriter, _ *http.Request) error {
	made, err := s.described()
	if err != nil {
		return err
	}
	replyEncoded(w, http.StatusOK, made.document)
	return nil
}
