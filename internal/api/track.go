package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"

	"github.com/go-chi/chi/v5"

	"postyard/internal/peer"
	"postyard/internal/track"
)

// Tracking takes what is asked for at the addresses in mail; *track.Service does. Its errors are track.ErrUnknown, or wrap
// store.ErrUnavailable.
type Tracking interface {
	Opened(ctx context.Context, token string, v *track.Visit) error
	Clicked(ctx context.Context, token string, v *track.Visit) (target string, err error)
	Subscription(ctx context.Context, token string) (track.Subscription, error)
	Unsubscribed(ctx context.Context, token string, v *track.Visit) (track.Subscription, error)
}

// trackOperations answer with a picture, a redirect or a page, and with JSON only where they refuse.
func (s *server) trackOperations() []operation {
	return []operation{
		op(http.MethodGet, "/track/tpsp/open/{token}/1.png", noKey, "the picture in a message: tells that it was opened", s.forAnyone(s.opened)).
			answers(http.StatusOK, nil).as("image/png"),
		op(http.MethodGet, "/track/tpsp/click/{token}", noKey, "a link in a message: leads to where it did", s.forAnyone(s.clicked)).
			answers(http.StatusFound, nil).forPeople(),
		op(http.MethodGet, "/track/tpsp/unsubscribe/{token}", noKey, "the page at which a recipient unsubscribes", s.forAnyone(s.askUnsubscribe)).
			answers(http.StatusOK, nil).as("text/html").forPeople(),
		op(http.MethodPost, "/track/tpsp/unsubscribe/{token}", noKey, "unsubscribe a recipient (RFC 8058)", s.forAnyone(s.unsubscribe)).
			answers(http.StatusOK, nil).as("text/html").forPeople(),
	}
}

// visitOf says who asks. A HEAD request is a program that looks whether a link works: nobody has opened anything.
func (s *server) visitOf(r *http.Request) *track.Visit {
	if r.Method == http.MethodHead {
		return nil
	}
	return &track.Visit{UserAgent: r.UserAgent(), IP: s.visitorIP(r)}
}

// visitorIP is where a visitor is; peer says why more is believed here.
func (s *server) visitorIP(r *http.Request) string {
	return peer.Text(s.Proxies.And(peer.Neighbours).Of(r))
}

// pixel is a transparent PNG of one pixel.
var pixel = func() []byte {
	const image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNgAAIAAAUAAen63NgAAAAASUVORK5CYII="
	decoded, err := base64.StdEncoding.DecodeString(image)
	if err != nil {
		panic(err)
	}
	return decoded
}()

// Headers of the answers to people's mail programs. The addresses hold tokens: they go no further.
func trackHeaders(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h["X-Content-Type-Options"] = contentTypeOptions
	h["Cache-Control"] = cacheControl
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
}

func (s *server) opened(w http.ResponseWriter, r *http.Request) error {
	if err := s.Tracking.Opened(r.Context(), chi.URLParam(r, "token"), s.visitOf(r)); err != nil {
		return err
	}
	trackHeaders(w, "image/png")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(pixel)
	return nil
}

func (s *server) clicked(w http.ResponseWriter, r *http.Request) error {
	target, err := s.Tracking.Clicked(r.Context(), chi.URLParam(r, "token"), s.visitOf(r))
	if err != nil {
		return s.pageOf(w, err)
	}
	trackHeaders(w, "")
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
	return nil
}

func (s *server) askUnsubscribe(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.Tracking.Subscription(r.Context(), chi.URLParam(r, "token"))
	if err != nil {
		return s.pageOf(w, err)
	}
	return s.page(w, http.StatusOK, view{Subscription: sub})
}

func (s *server) unsubscribe(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.Tracking.Unsubscribed(r.Context(), chi.URLParam(r, "token"), &track.Visit{UserAgent: r.UserAgent(), IP: s.visitorIP(r)})
	if err != nil {
		return s.pageOf(w, err)
	}
	return s.page(w, http.StatusOK, view{Subscription: sub})
}

// view is what a page says.
type view struct {
	track.Subscription
	Wrong string // what is wrong, "" for nothing
}

// pageOf shows people why their link does not work; whatever is not theirs to know is refused as everywhere.
func (s *server) pageOf(w http.ResponseWriter, err error) error {
	if !errors.Is(err, track.ErrUnknown) {
		return err
	}
	return s.page(w, http.StatusNotFound, view{Wrong: "This link is not complete, or too old."})
}

func (s *server) page(w http.ResponseWriter, status int, v view) error {
	var out bytes.Buffer
	if err := trackPage.Execute(&out, v); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	trackHeaders(w, "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
	return nil
}

// trackPage is the only page that recipients see. Its form has no address: it is sent to where the page came from.
var trackPage = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">
<title>Unsubscribe</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em;color:#222;background:#fff}
button{font:inherit;padding:.6em 1.2em;border:0;border-radius:.3em;background:#1a4fd6;color:#fff;cursor:pointer}b{overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}</style></head>
<body>{{if .Wrong}}<h1>This does not work</h1><p>{{.Wrong}} Please open the message again and follow the link from there.</p>
{{- else if .Ended}}<h1>You are unsubscribed</h1><p><b>{{.To}}</b> gets no more mail of this kind from <b>{{.From}}</b>.</p>
{{- else}}<h1>Unsubscribe</h1><p>Shall <b>{{.To}}</b> get no more mail of this kind from <b>{{.From}}</b>?</p>
<form method="post"><button>Unsubscribe</button></form>{{end}}</body></html>
`))
