package postmark

import (
	"context"
	"net/http"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// defaultEndpoint is Postmark's public API. It has no version segment.
const defaultEndpoint = "https://api.postmarkapp.com"

// Limits of one call. Postmark takes 500 messages and 50 MB; the encoded size stays below, because what counts there is
// not exactly what counts here.
const (
	maxBatch = 500
	maxBody  = 40 << 20
)

// Config is what the adapter needs from its surroundings.
type Config struct {
	// Transport carries the calls and owns the kept-alive connections. It must not repeat a POST that was written. A nil
	// Transport means an http.Transport of the adapter's own.
	Transport http.RoundTripper

	// UserAgent names the caller to Postmark; "" means "Postyard".
	UserAgent string

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Adapter implements provider.Adapter. It is safe for concurrent use.
type Adapter struct {
	transport http.RoundTripper
	userAgent string
	now       func() time.Time
	bodyLimit int                              // maxBody; tests set less
	pause     func(context.Context, int) error // pauseAfter; tests do not wait
	reach     int                              // maxSearch; tests set less, as of maxDetail
	maxDetail int64
	large     chan struct{} // holds a token for each answer under way that may be large
	patience  time.Duration // how long one try of a question about the past may take; tests set less
}

var (
	_ provider.Adapter       = (*Adapter)(nil)
	_ provider.Identifier    = (*Adapter)(nil)
	_ provider.Distinguisher = (*Adapter)(nil)
)

// New returns the adapter.
func New(c Config) *Adapter {
	a := &Adapter{transport: c.Transport, userAgent: c.UserAgent, now: c.Now, bodyLimit: maxBody, pause: pauseAfter, reach: maxSearch,
		maxDetail: maxDetail, large: make(chan struct{}, largeAtOnce), patience: patience}
	if a.transport == nil {
		a.transport = httpcall.NewTransport()
	}
	if a.userAgent == "" {
		a.userAgent = "Postyard"
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Capabilities implements provider.Adapter.
func (*Adapter) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Postmark, BatchSize: maxBatch, CanLookup: true, Templates: true, Tracks: true,
		Streams: true, Reluctant: true, Recalls: true}
}
