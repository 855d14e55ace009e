package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/mail"
	"postyard/internal/member"
	"postyard/internal/store"
)

// sessionPaths is where the paths of sessions begin.
const sessionPaths = "/web/"

// maxBody is the longest body that is read, in bytes.
const maxBody = 16 << 10

// memberAnswer is who is signed in.
type memberAnswer struct {
	ID    int32  `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Role  string `json:"role"` // owner, admin, viewer
}

// accountAnswer is where they are.
type accountAnswer struct {
	ID   int32  `json:"id"`
	Name string `json:"name"`
}

// sessionAnswer is what a page needs to know of its session.
type sessionAnswer struct {
	Member    memberAnswer  `json:"member"`
	Account   accountAnswer `json:"account"`
	CSRF      string        `json:"csrf"` // to be sent in the header X-CSRF-Token by whatever changes something
	PublicURL string        `json:"publicUrl"`
}

// placeAnswer is a browser that the member is signed in with.
type placeAnswer struct {
	Current bool   `json:"current"`
	Address string `json:"address"`
	Agent   string `json:"agent"`
	Created int64  `json:"created"` // ns
	Used    int64  `json:"used"`    // ns, to within minutes
}

// problem is a refusal in the shape of the API's.
type problem struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Field     string `json:"field"`
	RequestID string `json:"requestId"`
	Setup     *bool  `json:"setup,omitempty"` // when nobody is signed in: nobody can be, as there are no members yet

	status     int
	retryAfter time.Duration
}

// Error implements error.
func (p *problem) Error() string { return p.Code + ": " + p.Message }

// session answers requests below /web/.
func (h *Handler) session(w http.ResponseWriter, r *http.Request) {
	at := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, sessionPaths), "/")
	methods := map[string]map[string]func(http.ResponseWriter, *http.Request) error{
		"session":    {http.MethodGet: h.whoAmI, http.MethodPost: h.signIn, http.MethodDelete: h.signOut},
		"sessions":   {http.MethodGet: h.listSessions, http.MethodDelete: h.signOutOthers},
		"setup":      {http.MethodPost: h.setUp},
		"invitation": {http.MethodPost: h.join},
		"password":   {http.MethodPut: h.changePassword},
	}[at]
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	do := methods[method]
	switch {
	case methods == nil:
		h.fail(w, r, &problem{status: http.StatusNotFound, Code: "unknown_path", Message: "there is nothing at this path"})
	case do == nil:
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
		h.fail(w, r, &problem{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "this path does not take " + r.Method})
	default:
		if err := h.own(r); err != nil {
			h.fail(w, r, err)
		} else if err := do(w, r); err != nil {
			h.fail(w, r, err)
		}
	}
}

// own refuses what another site had a browser do.
//
// Signing in, joining and setting up ask for no token: who does it has no session yet, or leaves it, so there is none to bind a token to. Another site must
// not have a browser do it all the same: its user would work in the account of somebody else (login CSRF). A browser says where a request comes from, in
// Sec-Fetch-Site or Origin, and own looks at that. For one that says neither, as old ones do with forms, decode asks for a body of JSON: no form
// can send that, and a script of another site only after the server has allowed it (CORS), which it never does. A program outside of browsers
// sends nobody's cookies.
func (h *Handler) own(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	return h.Members.Foreign(r)
}

func (h *Handler) whoAmI(w http.ResponseWriter, r *http.Request) error {
	now, err := h.Members.OfRequest(r)
	if err != nil {
		return err
	}
	return h.reply(w, r, now)
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Email, Password string }
	if err := decode(w, r, &in); err != nil {
		return err
	}
	token, err := h.Members.SignIn(r.Context(), r, in.Email, in.Password)
	return h.begin(w, r, token, err)
}

func (h *Handler) setUp(w http.ResponseWriter, r *http.Request) error {
	var in struct{ AccountKey, Name, Email, Password string }
	if err := decode(w, r, &in); err != nil {
		return err
	}
	if err := h.Directory.Refresh(r.Context()); err != nil { // another node may have made the account
		return err
	}
	token, err := h.Members.SetUp(r.Context(), r, in.AccountKey, in.Name, in.Email, in.Password)
	return h.begin(w, r, token, err)
}

func (h *Handler) join(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Token, Password string }
	if err := decode(w, r, &in); err != nil {
		return err
	}
	token, err := h.Members.Join(r.Context(), r, in.Token, in.Password)
	return h.begin(w, r, token, err)
}

// begin answers with a session that has begun, unless there was an error.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, token string, err error) error {
	if err != nil {
		return err
	}
	now, err := h.Members.Session(r.Context(), token)
	if err != nil {
		return err
	}
	http.SetCookie(w, h.Members.Cookie(token))
	return h.reply(w, r, now)
}

// signOut ends the session. Whoever has none is signed out already.
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) error {
	now, err := h.Members.OfRequest(r)
	if err == nil {
		err = h.Members.SignOut(r.Context(), r, now)
	}
	if err != nil && !errors.Is(err, member.ErrSignedOut) {
		return err
	}
	http.SetCookie(w, h.Members.Cookie(""))
	done(w)
	return nil
}

func (h *Handler) changePassword(w http.ResponseWriter, r *http.Request) error {
	now, err := h.Members.OfRequest(r)
	if err != nil {
		return err
	}
	var in struct{ Current, Password string }
	if err := decode(w, r, &in); err != nil {
		return err
	}
	if err := h.Members.ChangePassword(r.Context(), r, now, in.Current, in.Password); err != nil {
		if errors.Is(err, member.ErrCredentials) { // it is no session that is missing
			return &problem{status: http.StatusUnprocessableEntity, Code: "wrong_password", Message: "this is not your present password", Field: "current"}
		}
		return err
	}
	done(w)
	return nil
}

func (h *Handler) listSessions(w http.ResponseWriter, r *http.Request) error {
	now, err := h.Members.OfRequest(r)
	if err != nil {
		return err
	}
	list, err := h.Members.Sessions(r.Context(), now)
	if err != nil {
		return err
	}
	answers := make([]placeAnswer, len(list))
	for i, s := range list {
		answers[i] = placeAnswer{s.Token == now.Token, s.Address, s.Agent, s.Created.UnixNano(), s.Used.UnixNano()}
	}
	return write(w, http.StatusOK, answers)
}

func (h *Handler) signOutOthers(w http.ResponseWriter, r *http.Request) error {
	now, err := h.Members.OfRequest(r)
	if err != nil {
		return err
	}
	if err := h.Members.SignOutOthers(r.Context(), r, now); err != nil {
		return err
	}
	done(w)
	return nil
}

// reply answers with a session.
func (h *Handler) reply(w http.ResponseWriter, r *http.Request, now *member.Session) error {
	if err := h.Directory.Refresh(r.Context()); err != nil {
		return err
	}
	m := now.Member
	a := h.Directory.Current().Account(m.AccountID)
	if a == nil {
		return member.ErrSignedOut
	}
	return write(w, http.StatusOK, sessionAnswer{memberAnswer{m.ID, m.Email, m.Name, m.Role.String()}, accountAnswer{a.ID, a.Name}, now.CSRF, h.PublicURL})
}

// decode reads a body as one JSON object. Its type has to be named: own says why.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &problem{status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "the body must be JSON, with the Content-Type application/json",
			Field: "Content-Type"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Message: "the body has more than " + strconv.FormatInt(large.Limit, 10) + " bytes"}
	}
	if err != nil {
		return &problem{status: http.StatusBadRequest, Code: "body_unreadable", Message: "the body could not be read to its end"}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return mail.Invalid("malformed_json", "", "the body must be a JSON object of texts")
	}
	return nil
}

// done answers that there is nothing to say.
func done(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// write answers with JSON.
func write(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // that the client is gone is no error of ours
	return nil
}

// requestID is what whoever observes the request calls it.
func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// fail answers with an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Code == "signed_out" {
		setup, looked := h.Members.NeedsSetup(r.Context())
		if looked != nil {
			p = problemOf(looked)
		} else {
			p.Setup = &setup
		}
	}
	p.RequestID = requestID(w)
	if p.status == http.StatusInternalServerError {
		h.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "requestId", p.RequestID, "error", err)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10))
	}
	if err := write(w, p.status, p); err != nil {
		h.Log.ErrorContext(r.Context(), "refusal not written", "requestId", p.RequestID, "error", err)
	}
}

// problemOf decides the status and the words of every error.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*mail.FieldError](err); ok {
		return &problem{status: http.StatusUnprocessableEntity, Code: e.Code, Message: e.Message, Field: e.Field}
	}
	if r, ok := member.RefusalOf(err); ok {
		return &problem{status: r.Status, retryAfter: r.RetryAfter, Code: r.Code, Message: r.Message, Field: r.Field}
	}
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusServiceUnavailable, retryAfter: unavailableFor, Code: "unavailable", Message: "the server cannot work now: try again"}
	case errors.Is(err, context.Canceled):
		return &problem{status: statusClientGone, Code: "client_gone", Message: "the client ended the request"}
	}
	return &problem{status: http.StatusInternalServerError, Code: "internal_error", Message: "the server failed; its log has the cause under this request's id"}
}

const (
	unavailableFor   = 5 * time.Second
	statusClientGone = 499 // is logged; nobody receives it
)
