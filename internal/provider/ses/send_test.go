package ses_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

// scripted is a connection to a server that always answers so.
func scripted(t *testing.T, status int, header http.Header, body string) provider.Connection {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return provider.Connection{AccountID: 1, TPSPID: 3, Endpoint: server.URL, Key: secret.NewString(keyID), Secret: secret.NewString(secretKey)}
}
