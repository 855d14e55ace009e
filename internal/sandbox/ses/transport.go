package ses

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	contentJSON = "application/json"
	contentXML  = "text/xml"
	contentForm = "application/x-www-form-urlencoded"

	maxMessage = 40 << 20            // bytes of a message after base64
	maxBody    = maxMessage + 1<<20  // bytes of a request to SES
	maxForm    = 1 << 18             // bytes of a request to SNS
	maxDrained = 4 * (maxBody) >> 10 // KiB that are taken in of a request that is too large, so that most clients read the answer
)

// call is one request to an operation.
type call struct {
	*http.Request
	args []string // what the stars of the path stand for
	body []byte
}

type route struct {
	method string
	path   []string // below /v2/email; "*" is a parameter
	handle func(*Simulator, *call) (any, error)
}

func at(method, path string, handle func(*Simulator, *call) (any, error)) route {
	return route{method: method, path: strings.Split(path, "/"), handle: handle}
}

var routes = []route{
	at(http.MethodPost, "outbound-emails", (*Simulator).send),

	at(http.MethodGet, "account", (*Simulator).getAccount),
	at(http.MethodPut, "account/sending", (*Simulator).putSending),

	at(http.MethodGet, "identities", (*Simulator).listIdentities),
	at(http.MethodPost, "identities", (*Simulator).createIdentity),
	at(http.MethodGet, "identities/*", (*Simulator).getIdentity),
	at(http.MethodDelete, "identities/*", (*Simulator).deleteIdentity),

	at(http.MethodGet, "suppression/addresses", (*Simulator).listSuppressions),
	at(http.MethodPut, "suppression/addresses", (*Simulator).putSuppression),
	at(http.MethodGet, "suppression/addresses/*", (*Simulator).getSuppression),
	at(http.MethodDelete, "suppression/addresses/*", (*Simulator).deleteSuppression),

	at(http.MethodGet, "configuration-sets", (*Simulator).listSets),
	at(http.MethodPost, "configuration-sets", (*Simulator).createSet),
	at(http.MethodGet, "configuration-sets/*", (*Simulator).getSet),
	at(http.MethodDelete, "configuration-sets/*", (*Simulator).deleteSet),
	at(http.MethodPut, "configuration-sets/*/sending", (*Simulator).putSetSending),
	at(http.MethodGet, "configuration-sets/*/event-destinations", (*Simulator).listDestinations),
	at(http.MethodPost, "configuration-sets/*/event-destinations", (*Simulator).createDestination),
	at(http.MethodPut, "configuration-sets/*/event-destinations/*", (*Simulator).editDestination),
	at(http.MethodDelete, "configuration-sets/*/event-destinations/*", (*Simulator).deleteDestination),
}

// ServeHTTP answers one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", serverHeader)
	switch {
	case isREST(r):
		s.serveREST(w, r)
	case certificatePath.MatchString(r.URL.Path):
		s.serveCertificate(w, r)
	default:
		s.serveQuery(w, r)
	}
}

// queryPath begins the paths that calls of SNS have for faults.
const queryPath = "/sns/"

// Front gives calls of SNS, all of which are posted to the root, paths by their actions, such as /sns/Subscribe, so that there can be faults
// for some of them.
func Front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !atRoot(r) {
			next.ServeHTTP(w, r)
			return
		}
		action := r.URL.Query().Get("Action")
		named := r.Clone(r.Context())
		if r.Method == http.MethodPost {
			begun, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1)) // who reads on meets the same error
			if form, broken := url.ParseQuery(string(begun)); err == nil && broken == nil {
				action = form.Get("Action")
			}
			named.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(begun), r.Body), r.Body}
		}
		named.URL.Path, named.URL.RawPath = queryPath+action, ""
		next.ServeHTTP(w, named)
	})
}

func (s *Simulator) serveREST(w http.ResponseWriter, r *http.Request) {
	answer, err := s.rest(r)
	if err == nil {
		body, broken := encode(answer)
		if broken == nil {
			write(w, http.StatusOK, http.Header{"Content-Type": {contentJSON}, headerRequestID: {uuid.NewString()}}, body)
			return
		}
		err = broken
	}
	f := s.failureOf(r, err, typeInternal)
	header, body := f.json()
	write(w, f.status, header, body)
}

// failureOf is the failure of an error; what is none of the caller's goes to the log.
func (s *Simulator) failureOf(r *http.Request, err error, internal string) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	s.log.ErrorContext(r.Context(), "ses request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	return &failure{status: http.StatusInternalServerError, kind: internal, message: "An internal failure has occurred."}
}

func write(w http.ResponseWriter, status int, header http.Header, body []byte) {
	for name, values := range header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

func (s *Simulator) rest(r *http.Request) (any, error) {
	found, args, err := match(r)
	if err != nil {
		return nil, err
	}
	body, err := read(r, maxBody)
	if err != nil {
		return nil, err
	}
	if err := s.verify(r, body, serviceSES); err != nil {
		return nil, err
	}
	if len(body) > 0 && mediaType(r) != contentJSON {
		return nil, fail("SerializationException", "The Content-Type must be %s.", contentJSON)
	}
	return found.handle(s, &call{Request: r, args: args, body: body})
}

// read takes the body in, as far as it may go.
func read(r *http.Request, limit int64) ([]byte, error) {
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, limit)) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(r.Body, limit+1))
	if n > limit {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained<<10)
		return nil, &failure{status: http.StatusRequestEntityTooLarge, kind: typeTooLarge, message: "The request is too large."}
	}
	if err != nil {
		return nil, bad("The request body ended early.")
	}
	return buffer.Bytes(), nil
}

func mediaType(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

func isForm(r *http.Request) bool { return mediaType(r) == contentForm }

// match finds the route of a path. AWS's front answers what it does not know.
func match(r *http.Request) (*route, []string, error) {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/v2/email/"), "/")
	known := false
	for i := range routes {
		args, ok := routes[i].matches(segments)
		if ok && routes[i].method == r.Method {
			return &routes[i], args, nil
		}
		known = known || ok
	}
	if known {
		return nil, nil, &failure{status: http.StatusMethodNotAllowed, kind: "UnsupportedOperationException", front: true,
			message: "The requested operation does not take " + r.Method + "."}
	}
	return nil, nil, &failure{status: http.StatusNotFound, kind: "UnknownOperationException", front: true,
		message: "The requested operation is not known to the simulator."}
}

// matches compares a path, part by part as it is escaped, so that a slash may stand in a name.
func (r *route) matches(segments []string) (args []string, ok bool) {
	if len(segments) != len(r.path) {
		return nil, false
	}
	for i, want := range r.path {
		part, err := url.PathUnescape(segments[i])
		switch {
		case err != nil:
			return nil, false
		case want == "*" && part != "":
			args = append(args, part)
		case want != part:
			return nil, false
		}
	}
	return args, true
}

// none is the answer without anything in it.
type none struct{}

// result is an answer of SNS. Its body is what stands in <ActionResult>, nil when the action has none.
type result struct {
	action string
	body   any
}

// MarshalXML writes the answer under the names of its action.
func (a result) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	outer := xml.StartElement{Name: xml.Name{Local: a.action + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: snsNamespace}}}
	if err := e.EncodeToken(outer); err != nil {
		return err
	}
	if a.body != nil {
		if err := e.EncodeElement(a.body, xml.StartElement{Name: xml.Name{Local: a.action + "Result"}}); err != nil {
			return err
		}
	}
	meta := struct {
		RequestID string `xml:"RequestId"`
	}{uuid.NewString()}
	if err := e.EncodeElement(meta, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(outer.End())
}

func (s *Simulator) serveQuery(w http.ResponseWriter, r *http.Request) {
	answer, err := s.query(r)
	if err == nil {
		body, broken := xml.Marshal(answer)
		if broken == nil {
			write(w, http.StatusOK, http.Header{"Content-Type": {contentXML}, headerRequestID: {uuid.NewString()}}, body)
			return
		}
		err = broken
	}
	f := s.failureOf(r, err, codeInternal)
	header, body := f.xml()
	write(w, f.status, header, body)
}
