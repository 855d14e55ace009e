package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"postyard/internal/provider"
	"postyard/internal/store"
)

// auth is which key an operation asks for.
type auth string

const (
	noKey         auth = ""
	accountKey    auth = "X-Account-ApiKey"
	subAccountKey auth = "X-SubAccount-ApiKey"
	webhookKey    auth = "the provider's webhook credentials"
)

// operation is one row of the API's table: the program routes by it, and docs/api.md is written from it.
type operation struct {
	Method  string
	Path    string // without the trailing slash, which is served as well
	Auth    auth
	Summary string
	handler http.HandlerFunc

	foreign bool // the answers, refusals included, are in the shapes of another vendor's API

	query  []parameter
	takes  any      // a value of the type that the body is read into; nil: there is no body
	files  []string // the media types of a body that is no JSON
	spare  bool     // the body may be left out
	status int      // of success
	gives  any      // a value of the type that the answer is written from; nil: it is no JSON, or there is none
	media  []string // the media types of an answer that is no JSON
	people bool     // people follow it as a link: they are refused with a page

	role  store.Role // which a member needs; 0: whichever needed says
	quiet bool       // nothing is changed, though the method is none that reads: it is not written to the audit log
}

// parameter is one of a query.
type parameter struct {
	Name     string
	Kind     string // integer, boolean, string, date
	Required bool
	Summary  string
}

// pageParameters are those of a list.
func pageParameters(searched string) []parameter {
	return []parameter{
		{Name: "limit", Kind: "integer", Summary: "the most items of the answer"},
		{Name: "offset", Kind: "integer", Summary: "how many items are skipped"},
		searchParameter(searched),
	}
}

func op(method, path string, key auth, summary string, h http.HandlerFunc) operation {
	return operation{Method: method, Path: path, Auth: key, Summary: summary, handler: h}
}

// asks says which parameters the operation takes.
func (o operation) asks(parameters ...parameter) operation {
	o.query = append(slices.Clip(o.query), parameters...)
	return o
}

// body says what the operation reads.
func (o operation) body(v any) operation {
	o.takes = v
	return o
}

// file says of which media types the body may be, when it is no JSON.
func (o operation) file(media ...string) operation {
	o.files = media
	return o
}

// orNone says that the body may be left out.
func (o operation) orNone() operation {
	o.spare = true
	return o
}

// answers says what the operation writes when it succeeds.
func (o operation) answers(status int, v any) operation {
	o.status, o.gives = status, v
	return o
}

// as says of which media types the answer may be, when it is no JSON.
func (o operation) as(media ...string) operation {
	o.media, o.gives = media, nil
	return o
}

// forPeople says that people follow the operation as a link.
func (o operation) forPeople() operation {
	o.people = true
	return o
}

// reads says that the operation changes nothing, though its method is POST, so that viewers may use it.
func (o operation) reads() operation {
	o.role, o.quiet = store.Viewer, true
	return o
}

// unrecorded says that the operation changes no configuration: it sends mail, or only asks somebody else.
func (o operation) unrecorded() operation {
	o.quiet = true
	return o
}

// showsSecrets says that the operation tells what viewers must not know.
func (o operation) showsSecrets() operation {
	o.role = store.Admin
	return o
}

// forOwners says that of members only owners may use the operation.
func (o operation) forOwners() operation {
	o.role = store.Owner
	return o
}

// needed is the lowest role that a member needs for the operation.
func (o *operation) needed() store.Role {
	switch {
	case o.role != 0:
		return o.role
	case o.Method == http.MethodGet:
		return store.Viewer
	}
	return store.Admin
}

// named lets what is below know which operation it is.
func (o operation) named() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if x := exchangeOf(r.Context()); x != nil {
			x.operation = &o
		}
		o.handler(w, r)
	}
}

// operations returns the whole API.
func (s *server) operations() []operation {
	const v1 = "/api/v1"
	return slices.Concat([]operation{
		op(http.MethodPost, v1+"/subaccount/email", subAccountKey, "send an email", s.forSubAccount(s.send)).
			body(sendRequest{}).answers(http.StatusOK, []emailResponse{}).unrecorded(),
		op(http.MethodPost, v1+"/subaccount/email/template", subAccountKey, "send an email with a stored template", s.forSubAccount(s.sendTemplate)).
			body(sendRequest{}).answers(http.StatusOK, []emailResponse{}).unrecorded(),

		op(http.MethodGet, v1+"/account/subaccount", accountKey, "list sub-accounts", s.forAccount(s.listSubAccounts)).
			asks(pageParameters("name")...).answers(http.StatusOK, []subAccountAnswer{}),
		op(http.MethodPost, v1+"/account/subaccount", accountKey, "create a sub-account", s.forAccount(s.createSubAccount)).
			body(nameRequest{}).answers(http.StatusCreated, subAccountAnswer{}),
		op(http.MethodGet, v1+"/account/subaccount/{id}", accountKey, "read a sub-account", s.forAccount(s.getSubAccount)).
			answers(http.StatusOK, subAccountAnswer{}),
		op(http.MethodPut, v1+"/account/subaccount/{id}", accountKey, "rename and label a sub-account", s.forAccount(s.updateSubAccount)).
			body(subAccountRequest{}).answers(http.StatusOK, subAccountAnswer{}),
		op(http.MethodDelete, v1+"/account/subaccount/{id}", accountKey, "delete a sub-account", s.forAccount(s.deleteSubAccount)).
			answers(http.StatusOK, deletedAnswer{}),
		op(http.MethodPost, v1+"/account/subaccount/{id}/pause", accountKey, "let the mail of a sub-account wait", s.forAccount(s.pauseSubAccount)).
			answers(http.StatusOK, pausedAnswer{}),
		op(http.MethodPost, v1+"/account/subaccount/{id}/resume", accountKey, "let the mail of a sub-account go on", s.forAccount(s.resumeSubAccount)).
			answers(http.StatusOK, pausedAnswer{}),

		op(http.MethodPost, v1+"/account/tpsp/streams", accountKey, "list a provider's message streams", s.forAccount(s.listStreams)).
			body(streamsRequest{}).answers(http.StatusOK, []provider.Stream{}).unrecorded(),
		op(http.MethodGet, v1+"/account/tpsp", accountKey, "list providers", s.forAccount(s.listTPSPs)).
			asks(pageParameters("name")...).answers(http.StatusOK, []tpspAnswer{}),
		op(http.MethodPost, v1+"/account/tpsp", accountKey, "add a provider", s.forAccount(s.createTPSP)).
			body(tpspRequest{}).answers(http.StatusOK, tpspAnswer{}),
		op(http.MethodGet, v1+"/account/tpsp/count", accountKey, "count providers", s.forAccount(s.countTPSPs)).
			asks(searchParameter("name")).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, v1+"/account/tpsp/kinds", accountKey, "list the kinds of providers and their fields", s.forAccount(s.listKinds)).
			answers(http.StatusOK, []kindAnswer{}),
		op(http.MethodGet, v1+"/account/tpsp/{id}", accountKey, "read a provider", s.forAccount(s.getTPSP)).
			answers(http.StatusOK, tpspAnswer{}),
		op(http.MethodPut, v1+"/account/tpsp/{id}", accountKey, "change a provider: its name, key, stream, limits, ...; pause it", s.forAccount(s.updateTPSP)).
			body(tpspChanges{}).answers(http.StatusOK, tpspAnswer{}),
		op(http.MethodDelete, v1+"/account/tpsp/{id}", accountKey, "delete a provider", s.forAccount(s.deleteTPSP)).
			asks(forceParameter).answers(http.StatusOK, deletedAnswer{}),
		op(http.MethodPost, v1+"/account/tpsp/{id}/webhook", accountKey, "register a provider's webhook again", s.forAccount(s.registerWebhook)).
			answers(http.StatusOK, tpspAnswer{}),
		op(http.MethodPost, v1+"/account/tpsp/{id}/drill", accountKey, "rehearse an outage of a provider", s.forAccount(s.drillTPSP)).
			body(drillRequest{}).answers(http.StatusOK, tpspAnswer{}),
		op(http.MethodPost, v1+"/account/catch-up", accountKey, "read back what providers' webhooks did not bring", s.forAccount(s.catchUp)).
			body(catchUpRequest{}).answers(http.StatusOK, []caughtUpAnswer{}),
		op(http.MethodGet, v1+"/account/templates", accountKey, "list the mirrored templates of providers", s.forAccount(s.listTemplates)).
			asks(pageParameters("alias or the name")...).answers(http.StatusOK, []templateAnswer{}),
		op(http.MethodPost, v1+"/account/templates/sync", accountKey, "read the templates of providers now", s.forAccount(s.syncTemplates)).
			body(tpspReference{}).answers(http.StatusOK, []syncedAnswer{}),

		op(http.MethodGet, v1+"/account/ippool", accountKey, "list IP pools", s.forAccount(s.listPools)).
			asks(pageParameters("name")...).answers(http.StatusOK, []poolAnswer{}),
		op(http.MethodPost, v1+"/account/ippool", accountKey, "create an IP pool", s.forAccount(s.createPool)).
			body(poolRequest{}).answers(http.StatusOK, poolAnswer{}),
		op(http.MethodGet, v1+"/account/ippool/{id}", accountKey, "read an IP pool", s.forAccount(s.getPool)).
			answers(http.StatusOK, poolAnswer{}),
		op(http.MethodPut, v1+"/account/ippool/{id}", accountKey, "change an IP pool", s.forAccount(s.updatePool)).
			body(poolRequest{}).answers(http.StatusOK, poolAnswer{}),
		op(http.MethodDelete, v1+"/account/ippool/{id}", accountKey, "delete an IP pool", s.forAccount(s.deletePool)).
			asks(forceParameter).answers(http.StatusOK, deletedAnswer{}),
		op(http.MethodGet, v1+"/account/ippool/{id}/settings", accountKey, "read an IP pool's priority, time to live and pause", s.forAccount(s.getPoolSettings)).
			answers(http.StatusOK, poolSettings{}),
		op(http.MethodPost, v1+"/account/ippool/{id}/pause", accountKey, "let the mail of an IP pool wait", s.forAccount(s.pausePool)).
			answers(http.StatusOK, poolSettings{}),
		op(http.MethodPost, v1+"/account/ippool/{id}/resume", accountKey, "let the mail of an IP pool go on", s.forAccount(s.resumePool)).
			answers(http.StatusOK, poolSettings{}),
		op(http.MethodGet, v1+"/account/ippool/{id}/warnings", accountKey, "tell what an IP pool lacks", s.forAccount(s.poolWarnings)).
			answers(http.StatusOK, []warningAnswer{}),
		op(http.MethodGet, v1+"/account/ippool/{id}/explain", accountKey, "tell where a message would go, and why", s.forAccount(s.explainPool)).
			asks(routeParameters...).answers(http.StatusOK, routeAnswer{}),
		op(http.MethodPost, v1+"/account/ippool/preview", accountKey, "tell what an IP pool would do, without storing it", s.forAccount(s.previewPool)).
			body(previewRequest{}).answers(http.StatusOK, previewAnswer{}).reads(),

		op(http.MethodPost, v1+"/account/message/cancel", accountKey, "cancel messages that wait, by group, IP pool or sub-account", s.forAccount(s.cancelMessages)).
			body(cancelRequest{}).answers(http.StatusOK, cancelAnswer{}),
		op(http.MethodPost, v1+"/account/message/{id}/cancel", accountKey, "cancel one message that waits", s.forAccount(s.cancelMessage)).
			answers(http.StatusOK, cancelledAnswer{}),
		op(http.MethodGet, v1+"/account/message/{id}", accountKey, "read a message", s.forAccount(s.getMessage)).
			answers(http.StatusOK, messageAnswer{}),
		op(http.MethodGet, v1+"/account/message/{id}/events", accountKey, "list a message's events", s.forAccount(s.listMessageEvents)).
			asks(eventPageParameters...).answers(http.StatusOK, []eventAnswer{}),
		op(http.MethodGet, v1+"/account/message/{id}/explain", accountKey, "tell where a message stands, and why", s.forAccount(s.explainMessage)).
			answers(http.StatusOK, explainAnswer{}),

		op(http.MethodGet, v1+"/account/verify", accountKey, "recompute the account's states and counters, and name what differs", s.forAccount(s.verify)).
			asks(awaitingParameter).answers(http.StatusOK, verifyAnswer{}),

		op(http.MethodGet, v1+"/account/event", accountKey, "list events", s.forAccount(s.listEvents)).
			asks(eventParameters...).asks(eventPageParameters...).answers(http.StatusOK, []eventAnswer{}),
		op(http.MethodGet, v1+"/account/event/{id}", accountKey, "read an event", s.forAccount(s.getEvent)).
			answers(http.StatusOK, eventAnswer{}),
		op(http.MethodGet, v1+"/account/event/{id}/provider", accountKey, "read the provider's own fields of an event", s.forAccount(s.getProviderFields)).
			answers(http.StatusOK, map[string]string{}),

		op(http.MethodPost, "/tpsp/{provider}/account/{id}", webhookKey, "receive a provider's webhook", s.forAnyone(s.receive)).
			body(json.RawMessage{}).answers(http.StatusOK, struct{}{}),

		op(http.MethodGet, "/healthz", noKey, "tell that the process lives", s.forAnyone(s.healthz)).
			answers(http.StatusOK, statusAnswer{}),
		op(http.MethodGet, "/readyz", noKey, "tell that the server can work", s.forAnyone(s.readyz)).
			answers(http.StatusOK, statusAnswer{}),
	},
		// sending
		s.intakeOperations(v1),
		s.storedOperations(v1),
		s.domainOperations(v1),
		s.suppressionOperations(),

		// sub-accounts
		s.hierarchyOperations(v1),
		s.labelOperations(v1),

		// ways out
		s.ipOperations(v1),
		s.ipStatOperations(v1),
		s.nowOperations(v1),
		s.doctorOperations(),
		s.failureOperations(v1),

		// messages
		s.searchOperations(v1),
		s.contentOperations(v1),
		s.messageHookOperations(v1),

		// events
		s.journalOperations(v1),
		s.tailOperations(v1),
		s.trackOperations(),
		s.webhookOperations(v1),

		// statistics
		s.statOperations(v1),
		s.ownStatOperations(v1),
		s.compareOperations(v1),

		// people
		s.memberOperations(v1),
		s.auditOperations(v1),
		s.documentOperations(),
	)
}

func (s *server) router() http.Handler {
	r := chi.NewRouter()
	s.reads = map[string]*operation{}
	for _, o := range s.operations() {
		if o.Method == http.MethodGet {
			s.reads[o.Path] = &o
		}
		handler := o.named()
		for _, path := range []string{o.Path, o.Path + "/"} {
			r.MethodFunc(o.Method, path, handler)
			if o.Method == http.MethodGet {
				r.MethodFunc(http.MethodHead, path, handler) // net/http leaves the body out
			}
		}
	}
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		if s.Web != nil && wantsPage(req) {
			s.Web.Unknown(w, req)
			return
		}
		s.fail(w, req, &problem{status: http.StatusNotFound, Code: "unknown_path", Message: "there is nothing at this path"})
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		allowed := allowedMethods(r, req.URL.Path)
		w.Header().Set("Allow", allowed)
		s.fail(w, req, &problem{
			status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "this path takes " + allowed,
		})
	})
	if s.Web == nil {
		return r
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if s.Web.Serves(req) {
			s.Web.ServeHTTP(w, req)
			return
		}
		r.ServeHTTP(w, req)
	})
}

// wantsPage tells whether a browser asks for something to show.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// allowedMethods lists what a path takes, as the Allow header wants it (RFC 9110, section 10.2.1).
func allowedMethods(r chi.Router, path string) string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if r.Match(chi.NewRouteContext(), method, path) {
			allowed = append(allowed, method)
		}
	}
	return strings.Join(allowed, ", ")
}
