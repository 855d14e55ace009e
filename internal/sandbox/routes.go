package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postyard/internal/sandbox/fault"
	"postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/sendgrid"
	"postyard/internal/sandbox/ses"
)

// api is the HTTP API of a provider.
type api struct {
	name    string // the provider's
	owns    func(*http.Request) bool
	whose   func(*http.Request) [2]string // the name and the token of the server or account that a request is for
	wording fault.Wording
	handler http.Handler
	front   func(http.Handler) http.Handler // what stands before the faults; nil is nothing
}

// apis are those that share one address. The first that owns a request serves it; the last owns all.
func (b *Sandbox) apis() []api {
	return []api{
		{name: sendgrid.Provider, owns: sendgrid.Owns, whose: b.sendgrid.Whose, wording: fault.ByCode(b.sendgrid.Wording), handler: b.sendgrid},
		{name: ses.Provider, owns: ses.Owns, whose: b.ses.Whose, wording: ses.Wording, handler: b.ses, front: ses.Front},
		{name: postmark.Provider, owns: func(*http.Request) bool { return true }, whose: b.postmark.Whose, wording: fault.ByCode(postmark.Wording),
			handler: b.postmark},
	}
}

// serveAPIs is the handler of all providers, each with its faults in front of it.
func (b *Sandbox) serveAPIs() http.Handler {
	apis := b.apis()
	for i, a := range apis {
		apis[i].handler = b.faults.Wrap(a.name, a.whose, a.wording, a.handler)
		if a.front != nil {
			apis[i].handler = a.front(apis[i].handler)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, a := range apis {
			if a.owns(r) {
				a.handler.ServeHTTP(w, r)
				return
			}
		}
	})
}

// routes puts the control API and the pages beside the providers' APIs. Faults apply to the latter only.
func (b *Sandbox) routes() http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /sandbox/health", b.health)
	own.HandleFunc("GET /sandbox/messages", b.listMessages)
	own.HandleFunc("GET /sandbox/messages/{id}", b.getMessage)
	own.HandleFunc("GET /sandbox/messages/{id}/source", b.getSource)
	own.HandleFunc("GET /sandbox/arrivals", b.listArrivals)
	own.HandleFunc("POST /sandbox/messages/{id}/events", b.raiseEvent)
	own.HandleFunc("GET /sandbox/faults", b.getFaults)
	own.HandleFunc("PUT /sandbox/faults", b.putFaults)
	own.HandleFunc("DELETE /sandbox/faults", b.deleteFaults)
	own.HandleFunc("GET /sandbox/settings", b.getSettings)
	own.HandleFunc("PUT /sandbox/settings", b.putSettings)
	own.HandleFunc("GET /sandbox/servers", b.listServers)
	own.HandleFunc("POST /sandbox/servers", b.addServer)
	own.HandleFunc("DELETE /sandbox/servers/{server}", b.removeServer)
	own.HandleFunc("POST /sandbox/senders/{email}/confirm", b.confirmSender)
	own.HandleFunc("GET /sandbox/smtp", b.getSMTP)
	own.HandleFunc("GET /sandbox/webhooks", b.listAttempts)
	own.HandleFunc("POST /sandbox/reset", b.postReset)
	b.clockRoutes(own)
	b.hookRoutes(own)
	b.pageRoutes(own)

	// A page of another site must not be able to post forms here.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.refuse(w, http.StatusForbidden, errors.New("a page of another site cannot use the sandbox"))
	}))
	guarded := protection.Handler(b.orRefuse(own))
	providers := b.serveAPIs()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/sandbox" || strings.HasPrefix(r.URL.Path, "/sandbox/"):
			w.Header().Set("Server", "Postyard-Sandbox")
			guarded.ServeHTTP(w, r)
		case r.URL.Path == "/" && r.Method == http.MethodGet && !ses.Owns(r) && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/sandbox", http.StatusSeeOther)
		default:
			providers.ServeHTTP(w, r)
		}
	})
}

// orRefuse serves what the mux has a route for, and answers the rest in JSON.
func (b *Sandbox) orRefuse(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		verdict := &verdict{header: http.Header{}}
		handler.ServeHTTP(verdict, r)
		if verdict.status != http.StatusMethodNotAllowed {
			b.refuse(w, http.StatusNotFound, fmt.Errorf("there is no %s", r.URL.Path))
			return
		}
		allowed := verdict.header.Get("Allow")
		w.Header().Set("Allow", allowed)
		b.refuse(w, verdict.status, fmt.Errorf("%s takes %s, not %s", r.URL.Path, allowed, r.Method))
	})
}

// verdict takes what a mux says of a request that it has no route for, without its words.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) WriteHeader(status int)      { v.status = status }
func (v *verdict) Write(p []byte) (int, error) { return len(p), nil }
