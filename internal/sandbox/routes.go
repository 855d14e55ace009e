package sandbox

import (
	"net/http"
	"strings"

	"postyard/internal/sandbox/postmark"
)

// routes puts the control API and the pages beside the provider's API. Faults apply to the latter only.
func (b *Sandbox) routes() http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /sandbox/health", b.health)
	own.HandleFunc("GET /sandbox/messages", b.listMessages)
	own.HandleFunc("GET /sandbox/messages/{id}", b.getMessage)
	own.HandleFunc("POST /sandbox/messages/{id}/events", b.raiseEvent)
	own.HandleFunc("GET /sandbox/faults", b.getFaults)
	own.HandleFunc("PUT /sandbox/faults", b.putFaults)
	own.HandleFunc("DELETE /sandbox/faults", b.deleteFaults)
	own.HandleFunc("GET /sandbox/settings", b.getSettings)
	own.HandleFunc("PUT /sandbox/settings", b.putSettings)
	own.HandleFunc("GET /sandbox/webhooks", b.listAttempts)
	own.HandleFunc("POST /sandbox/reset", b.postReset)
	b.pageRoutes(own)

	// A page of another site must not be able to post forms here.
	guarded := http.NewCrossOriginProtection().Handler(own)
	api := b.faults.Wrap(postmark.Provider, postmark.Wording, b.providers[postmark.Provider])
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/sandbox" || strings.HasPrefix(r.URL.Path, "/sandbox/"):
			w.Header().Set("Server", "Postyard-Sandbox")
			guarded.ServeHTTP(w, r)
		case r.URL.Path == "/" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/sandbox", http.StatusSeeOther)
		default:
			api.ServeHTTP(w, r)
		}
	})
}
