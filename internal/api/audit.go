package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postyard/internal/audit"
	"postyard/internal/directory"
	"postyard/internal/peer"
	"postyard/internal/store"
)

// Audit keeps who changed what; an *audit.Log does.
type Audit interface {
	Begin(ctx context.Context, e store.AuditEntry) (*audit.Pending, error)
	Entries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error)
}

// Sizes of a page of the audit log.
const (
	defaultAudit = 100
	maxAudit     = 1000
)

// auditActor is who did it.
type auditActor struct {
	Kind string `json:"kind"` // member, account-key, sub-account-key, system
	ID   int32  `json:"id"`
	Name string `json:"name"` // of the member the email, of others the name, as it was then
}

// auditAnswer is an entry of the audit log.
type auditAnswer struct {
	ID        int64           `json:"id"`
	At        int64           `json:"at"`
	Actor     auditActor      `json:"actor"`
	Role      string          `json:"role"`      // of a member, as it was then; "" of others
	Address   string          `json:"address"`   // where the request came from
	Method    string          `json:"method"`    //
	Path      string          `json:"path"`      // with the query
	Operation string          `json:"operation"` // as this document sums it up
	Target    string          `json:"target"`    // what was changed; "" when it has no name
	Status    int             `json:"status"`    // of the answer; 0: it began, and it is not known what came of it
	Changes   json.RawMessage `json:"changes"`   // what was asked for, without secrets
	Before    json.RawMessage `json:"before"`    // what stood there under the same names, where it differs
}

// auditOperations are those on the audit log.
func (s *server) auditOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/account/audit", accountKey, "tell who changed what, the newest first", s.forAccount(s.listAudit)).asks(
			parameter{Name: "limit", Kind: "integer", Summary: "the most entries of the answer, 100 unless it is said"},
			parameter{Name: "before", Kind: "integer", Summary: "only entries with lower ids"},
			parameter{Name: "actor", Kind: "string", Summary: "member, account-key, sub-account-key or system, with an id behind a colon (member:3); or part of the actor's name"},
			parameter{Name: "operation", Kind: "string", Summary: "part of the operation"},
			parameter{Name: "from", Kind: "string", Summary: "since this day, or this instant as RFC 3339 has it"},
			parameter{Name: "to", Kind: "string", Summary: "until this day, included, or before this instant"},
			searchParameter("operation, the target, the path, the actor's name or the address")).answers(http.StatusOK, []auditAnswer{}),
	}
}

func (s *server) listAudit(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	f, err := auditFilter(r.URL.Query())
	if err != nil {
		return err
	}
	f.AccountID = a.ID
	list, err := s.Audit.Entries(r.Context(), f)
	if err != nil {
		return err
	}
	answers := make([]auditAnswer, len(list))
	for i := range list {
		e := &list[i]
		answers[i] = auditAnswer{ID: e.ID, At: nanos(e.At), Actor: auditActor{e.Actor.Kind.String(), e.Actor.ID, e.Actor.Name}, Role: e.Actor.Role, Address: e.Address,
			Method: e.Method, Path: e.Path, Operation: e.Operation, Target: e.Target, Status: e.Status, Changes: objectOr(e.Changes), Before: objectOr(e.Before)}
	}
	return reply(w, http.StatusOK, answers)
}

func objectOr(object []byte) json.RawMessage {
	if len(object) == 0 {
		return json.RawMessage("{}")
	}
	return object
}

func auditFilter(q url.Values) (f store.AuditFilter, err error) {
	if f.Limit, err = wholeNumber(q, "limit", defaultAudit, 1, maxAudit); err != nil {
		return f, err
	}
	if text := q.Get("before"); text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			return f, badParameter("before", "must be the id of an entry")
		}
	}
	if f.From, f.To, err = eventRange(q); err != nil {
		return f, err
	}
	actor := strings.TrimSpace(q.Get("actor"))
	name, number, numbered := strings.Cut(actor, ":")
	if kind, known := store.ActorKindNamed(name); known {
		f.Kind = &kind
		if numbered {
			id, err := strconv.ParseInt(number, 10, 32)
			if err != nil || id < 1 {
				return f, badParameter("actor", "must have an id behind the colon")
			}
			f.ActorID = int32(id)
		}
	} else {
		f.Actor = actor
	}
	f.Operation, f.Search = strings.TrimSpace(q.Get("operation")), strings.TrimSpace(q.Get("search"))
	return f, nil
}

// recorded tells whether the operation is written to the audit log.
func (o *operation) recorded() bool {
	return o.Method != http.MethodGet && !o.quiet && (o.Auth == accountKey || o.Auth == subAccountKey)
}

// audited runs an operation for whom it was let in, with an entry in the audit log around it when it changes something.
func audited[Owner any](s *server, w http.ResponseWriter, r *http.Request, owner *Owner, h func(w http.ResponseWriter, r *http.Request, o *Owner) error) (err error) {
	x := exchangeOf(r.Context())
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return h(w, r, owner)
	}
	if x == nil || x.operation == nil {
		return fmt.Errorf("%s %s is no operation of the table", r.Method, r.URL.Path)
	}
	if !x.operation.recorded() {
		return h(w, r, owner)
	}
	entry, err := s.begin(r, x, owner)
	if err != nil {
		return err
	}
	status := http.StatusInternalServerError // of a panic
	defer func() { entry.End(r.Context(), status) }()
	err = h(w, r, owner)
	switch {
	case err != nil:
		status = problemOf(err).status
	case x.status != 0:
		status = x.status
	default:
		status = http.StatusOK
	}
	return err
}

// begin writes the entry of a change that is to be made.
func (s *server) begin(r *http.Request, x *exchange, owner any) (*audit.Pending, error) {
	e := store.AuditEntry{Address: peer.Text(s.Proxies.Of(r)), Method: r.Method, Path: audit.PathOf(r), Operation: x.operation.Summary}
	var of []string
	switch o := owner.(type) {
	case *directory.Account:
		e.AccountID, e.Actor = o.ID, store.Actor{Kind: store.ByAccountKey, ID: o.ID, Name: o.Name}
	case *directory.SubAccount:
		e.AccountID, e.Actor = o.AccountID, store.Actor{Kind: store.BySubAccountKey, ID: o.ID, Name: o.Name}
		of = []string{"sub-account " + named(o.Name, int64(o.ID))}
	default:
		return nil, fmt.Errorf("%T changes nothing", owner)
	}
	if x.session != nil {
		e.Actor = audit.MemberActor(x.session.Member)
	}
	body := auditBody(r, x.operation)
	e.Changes = audit.Body(body)
	if body == nil && r.ContentLength != 0 {
		e.Changes = fileOf(r)
	}
	standing := s.standing(r, x, owner)
	if r.Method == http.MethodPut {
		e.Before = audit.Before(standing, body)
	}
	if target := s.target(e.AccountID, standing, body); target != "" {
		of = append([]string{target}, of...)
	}
	e.Target = strings.Join(of, ", ")
	pending, err := s.Audit.Begin(r.Context(), e)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.ErrorContext(r.Context(), "a change was refused, as it could not be written to the audit log", "requestId", requestID(r.Context()), "error", err)
		return nil, &problem{status: http.StatusServiceUnavailable, retryAfter: retryAfter, Code: "unavailable",
			Message: "the server cannot work now: nothing was changed, because the audit log could not be written; try again"}
	}
	return pending, err
}

// auditBody reads the JSON that an operation takes, and leaves it to be read again. nil is a body of another kind, or one that is too large or
// broken: the operation refuses that itself.
func auditBody(r *http.Request, o *operation) []byte {
	if o.takes == nil {
		return nil
	}
	body, err := readUpTo(r.Body, maxBody, r.ContentLength)
	rest := []io.Reader{bytes.NewReader(body), r.Body}
	if err != nil {
		rest[1] = brokenOff{err}
	}
	r.Body = again{io.MultiReader(rest...), r.Body}
	return body
}

// brokenOff is the end of a body that could not be read to its end.
type brokenOff struct{ err error }

func (b brokenOff) Read([]byte) (int, error) { return 0, b.err }

// again is a body whose beginning is read a second time.
type again struct {
	io.Reader
	io.Closer
}

// fileOf tells of a body that is no JSON.
func fileOf(r *http.Request) []byte {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	file := map[string]any{"contentType": media}
	if r.ContentLength > 0 {
		file["bytes"] = r.ContentLength
	}
	encoded, err := json.Marshal(map[string]any{"file": file})
	if err != nil {
		return nil
	}
	return encoded
}

// standing is what the API tells of the thing that a request changes, before it is changed; nil when it is none with an id, or is not there.
func (s *server) standing(r *http.Request, x *exchange, owner any) []byte {
	const id = "{id}"
	before, _, found := strings.Cut(x.operation.Path, "/"+id)
	if !found {
		return nil
	}
	var thing []byte
	if read := s.reads[before+"/"+id]; read != nil {
		thing = s.tell(r, x, owner, read)
	} else if list := s.reads[before]; list != nil {
		thing = ofList(s.tell(r, x, owner, list), r)
	}
	if settings := s.reads[before+"/"+id+"/settings"]; settings != nil && r.Method == http.MethodPut {
		thing = joined(s.tell(r, x, owner, settings), thing)
	}
	return thing
}

// tell is what an operation that reads answers to the owner of a request; nil for a refusal.
func (s *server) tell(r *http.Request, x *exchange, owner any, read *operation) []byte {
	kept := &keptAnswer{header: http.Header{}}
	inner := &exchange{Context: x.Context, response: response{ResponseWriter: kept}, id: x.id, routed: x.routed, operation: read, session: x.session, owner: owner}
	q := r.WithContext(inner)
	q.Method, q.URL, q.Body, q.ContentLength = http.MethodGet, &url.URL{Path: r.URL.Path}, http.NoBody, 0
	read.handler(&inner.response, q)
	if inner.status != http.StatusOK {
		return nil
	}
	return kept.body.Bytes()
}

// keptAnswer takes an answer in memory.
type keptAnswer struct {
	header http.Header
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header         { return k.header }
func (k *keptAnswer) Write(b []byte) (int, error) { return k.body.Write(b) }
func (k *keptAnswer) WriteHeader(int)             {}

// ofList finds what a request is about in a list.
func ofList(list []byte, r *http.Request) []byte {
	id, err := pathID(r)
	if err != nil {
		return nil
	}
	var items []json.RawMessage
	if json.Unmarshal(list, &items) != nil {
		return nil
	}
	for _, item := range items {
		var one struct{ ID int64 }
		if json.Unmarshal(item, &one) == nil && one.ID == int64(id) {
			return item
		}
	}
	return nil
}

// joined is an object with the fields of two.
func joined(a, b []byte) []byte {
	all := map[string]json.RawMessage{}
	for _, one := range [][]byte{a, b} {
		if one != nil && json.Unmarshal(one, &all) != nil {
			return b
		}
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		return b
	}
	return encoded
}

// target names what is changed: the thing that stands there, or that is to be made, or the provider that the body is about.
func (s *server) target(accountID int32, standing, body []byte) string {
	names := []string{"name", "url", "email", "publicIP"}
	var about struct {
		ID     int64 `json:"id"`
		TPSPID int32 `json:"tpspId"`
	}
	if standing != nil && json.Unmarshal(standing, &about) == nil {
		return named(audit.Text(standing, names...), about.ID)
	}
	if name := audit.Text(body, names...); name != "" {
		return name
	}
	if json.Unmarshal(body, &about) == nil {
		if t := s.Directory.Current().TPSP(accountID, about.TPSPID); t != nil {
			return named(t.Name, int64(t.ID))
		}
	}
	return ""
}

func named(name string, id int64) string { return fmt.Sprintf("%s (%d)", name, id) }
