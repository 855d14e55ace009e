package tpsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/ssrf"
	"postyard/internal/store"
)

// Limits of what a user sets.
const (
	maxKey    = 512 // bytes of a provider's token or user name
	maxStream = 255 // bytes of a message stream's id
	maxSlug   = 200 // bytes of a name's slug
)

// warmupInterval is that of the pool that is made for a TPSP, in hours. It does nothing, but a pool must have one above 0.
const warmupInterval = 24

// New is what a user gives to create a TPSP.
type New struct {
	Name     string
	Type     provider.Type
	Key      secret.String // the provider's token, or a user name
	Secret   secret.String // a password, for providers that have one
	Domain   string
	Stream   string // the message stream, by id
	Endpoint string // base URL, "" for the provider's public one
	Port     int    // 0 for the usual one
	Policy   directory.Policy
	Limits   limit.Limits
	Paused   bool
	AllowRaw bool // it takes messages without a template, where the provider is Reluctant

	SuppressionSync directory.SuppressionSync
}

// Streams lists the message streams of a provider's account that mail can be sent through (PM-2): not the inbound and not
// the archived ones. A refusal is a *mail.FieldError, or the provider's own *provider.SetupError.
func (s *Service) Streams(ctx context.Context, t provider.Type, key secret.String, endpoint string) ([]provider.Stream, error) {
	n := New{Type: t, Key: key, Endpoint: endpoint}
	if err := s.checkConnection(&n); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	all, err := s.Adapters[t].Streams(ctx, provider.Connection{Endpoint: n.Endpoint, Key: n.Key})
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", refusal(ctx, err))
	}
	return slices.DeleteFunc(slices.Clone(all), func(st provider.Stream) bool { return !st.Sends() }), nil
}

// Create checks a connection with its provider, saves it with a pool that routes everything to it (PM-6), and registers its
// webhook (PM-5). It fails with a *mail.FieldError, a *DuplicateError, or the provider's *provider.SetupError. A failed
// registration is no error: the TPSP is saved, its Webhook says why, and the Registrar tries again.
func (s *Service) Create(ctx context.Context, accountID int32, n New) (*directory.TPSP, *route.Pool, error) {
	if err := s.check(&n); err != nil {
		return nil, nil, err
	}
	conn := n.connection()
	conn.AccountID = accountID
	server, err := s.admit(ctx, n.Type, conn)
	if err != nil {
		return nil, nil, err
	}
	now := s.Now().UTC()
	t := &directory.TPSP{
		AccountID: accountID, Name: n.Name, Type: n.Type, Domain: n.Domain, Endpoint: n.Endpoint, Port: n.Port, Stream: n.Stream,
		Policy: n.Policy, AllowRaw: n.AllowRaw, Created: now, Limits: n.Limits, Paused: n.Paused, SuppressionSync: n.SuppressionSync,
		SealedKey: s.Box.Seal(keyPurpose, []byte(n.Key.Reveal())),
		KeyHash:   s.identity(n.Type, conn),
		Webhook:   s.freshHook(now, server, s.trial(n.Type, conn)),
	}
	if !n.Secret.IsZero() {
		t.Secret = s.Box.Seal(secretPurpose, []byte(n.Secret.Reveal()))
	}
	if s.silent(t.Type) {
		t.Webhook.State, t.Webhook.NextTry = "", time.Time{}
	}
	p := &route.Pool{
		AccountID: accountID, Name: slug(n.Name) + "-pool", Strategy: route.RoundRobin, RoutingMetaData: "{}", WarmupInterval: warmupInterval, Created: now,
	}
	if err := s.Store.CreateTPSP(ctx, t, p); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return nil, nil, s.duplicate(n.Type, "")
		}
		return nil, nil, fmt.Errorf("create TPSP: %w", err)
	}
	return s.activate(ctx, t, p)
}

// freshHook is a webhook that is still to be registered, with credentials that nobody has had; or that is not to be, as the connection is a
// trial.
func (s *Service) freshHook(now time.Time, server, trial string) directory.Webhook {
	w := directory.Webhook{
		State:          directory.WebhookPending,
		Username:       "postyard-" + secret.APIKey(),
		SealedPassword: s.Box.Seal(passwordPurpose, []byte(secret.Password())),
		Server:         server,
		// Should we stop before the first try has ended, the Registrar goes on from here.
		NextTry: now.Add(setupTimeout),
	}
	if trial != "" {
		w.State, w.Error, w.NextTry = "", trial, time.Time{}
	}
	return w
}

// trial says what a key is that is one for trying the provider out; "" when it is not one.
func (s *Service) trial(t provider.Type, conn provider.Connection) string {
	if a, ok := s.Adapters[t].(provider.Trier); ok {
		return a.Trial(conn)
	}
	return ""
}

// admit refuses a connection that the account has already, and lets the provider check it. It returns the provider's id of the account
// there, "" when it has none.
func (s *Service) admit(ctx context.Context, t provider.Type, conn provider.Connection) (server string, err error) {
	if err := s.refuseDuplicate(t, &conn, ""); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := s.Adapters[t].Check(ctx, conn); err != nil {
		return "", fmt.Errorf("check provider: %w", refusal(ctx, err))
	}
	if server, err = s.identify(ctx, t, conn); err != nil {
		return "", fmt.Errorf("check provider: %w", refusal(ctx, err))
	}
	return server, s.refuseDuplicate(t, &conn, server)
}

// TryMailServer checks the connection of a mail server as Create does, and makes nothing (CS-2). It fails with a *mail.FieldError or the
// server's *provider.SetupError.
func (s *Service) TryMailServer(ctx context.Context, accountID int32, n New) error {
	n.Type = provider.CustomSMTP
	if err := s.checkConnection(&n); err != nil {
		return err
	}
	conn := n.connection()
	conn.AccountID = accountID
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := s.Adapters[n.Type].Check(ctx, conn); err != nil {
		return fmt.Errorf("check mail server: %w", refusal(ctx, err))
	}
	return nil
}

// identify returns the provider's id of the account that a connection's key opens, "" when it has none.
func (s *Service) identify(ctx context.Context, t provider.Type, conn provider.Connection) (string, error) {
	if a, ok := s.Adapters[t].(provider.Identifier); ok {
		return a.Identify(ctx, conn)
	}
	return "", nil
}

// activate makes a new TPSP known, so that the provider's probes find its credentials, and then registers its webhook.
func (s *Service) activate(ctx context.Context, t *directory.TPSP, p *route.Pool) (*directory.TPSP, *route.Pool, error) {
	defer s.hint()
	held := s.begin(ctx, t.ID)
	if held {
		defer s.end(ctx, t.ID)
	}
	if err := s.Directory.Reload(ctx); err != nil {
		return nil, nil, err
	}
	if held && t.Webhook.State != "" { // otherwise another node's Registrar is at it
		// A client that hangs up does not end it: the provider may have the webhook by then, and its id must be kept.
		s.register(context.WithoutCancel(ctx), t)
	}
	now := s.Directory.Current()
	if fresh := now.AnyTPSP(t.ID); fresh != nil {
		t = fresh
	}
	if fresh := now.Pool(t.AccountID, p.ID); fresh != nil {
		p = fresh
	}
	return t, p, nil
}

// duplicate refuses a connection that the named TPSP has.
func (s *Service) duplicate(t provider.Type, name string) *DuplicateError {
	can := s.Adapters[t].Capabilities()
	return &DuplicateError{Name: name, Silent: can.Silent, Stream: can.Streams}
}

// silent tells whether a provider reports nothing, so that there is no webhook to register.
func (s *Service) silent(t provider.Type) bool { return s.Adapters[t].Capabilities().Silent }

func (n *New) connection() provider.Connection {
	return provider.Connection{Domain: n.Domain, Endpoint: n.Endpoint, Port: n.Port, Key: n.Key, Secret: n.Secret, Stream: n.Stream}
}

// identity tells connections of one type apart, together with their streams.
func (s *Service) identity(t provider.Type, conn provider.Connection) directory.KeyHash {
	return directory.KeyHash(secret.Hash(s.Adapters.Identity(t, conn)))
}

// identityOf is the identity of a TPSP's connection. It is made anew, because older versions hashed some keys as they were written.
func (s *Service) identityOf(t *directory.TPSP) directory.KeyHash {
	conn, err := s.Connection(t)
	if err != nil { // it was sealed with a key that we do not have: what is stored is all that is known
		return t.KeyHash
	}
	return s.identity(t.Type, conn)
}

// refuseDuplicate refuses a connection that another TPSP of the account has: with the same key, or with another key of the same account
// at the provider when its id is known.
func (s *Service) refuseDuplicate(typ provider.Type, conn *provider.Connection, server string) error {
	hash := s.identity(typ, *conn)
	for _, t := range s.Directory.Current().TPSPs(conn.AccountID) {
		if t.ID == conn.TPSPID || t.Type != typ || t.Stream != conn.Stream {
			continue
		}
		if s.identityOf(t) == hash || server != "" && t.Webhook.Server == server && t.Endpoint == conn.Endpoint {
			return s.duplicate(t.Type, t.Name)
		}
	}
	return nil
}

// checkSettings validates and tidies what is not of the connection.
func (s *Service) checkSettings(n *New) (err error) {
	if n.Name, err = directory.ParseName(n.Name); err != nil {
		return err
	}
	if a := s.Adapters[n.Type]; n.AllowRaw && a != nil && !a.Capabilities().Reluctant {
		return mail.Invalid("invalid_allow_raw", "allowRaw", "allowRaw is not for this provider: it takes messages without a template anyway")
	}
	n.Limits, err = ParseLimits(n.Limits)
	return err
}

// check validates and tidies what the user gave.
func (s *Service) check(n *New) error {
	if err := s.checkSettings(n); err != nil {
		return err
	}
	n.Stream = strings.TrimSpace(n.Stream)
	if err := s.checkConnection(n); err != nil {
		return err
	}
	can := s.Adapters[n.Type].Capabilities()
	if !can.Streams {
		n.Stream = ""
	}
	switch {
	case n.Stream == "" && can.Streams:
		return mail.Invalid("missing_message_stream", "messageStream", "choose a message stream; POST "+
			"/api/v1/account/tpsp/streams lists those of a server") // PM-3
	case len(n.Stream) > maxStream || strings.ContainsFunc(n.Stream, unicode.IsControl):
		return mail.Invalid("invalid_message_stream", "messageStream", "a message stream's id has at most %d characters", maxStream)
	}
	return nil
}

func (s *Service) checkConnection(n *New) error {
	if n.Type == provider.IP || s.Adapters[n.Type] == nil { // users connect no servers of the operator's
		return mail.Invalid("unknown_provider_type", "type", "%s", s.knownTypes(n.Type))
	}
	if secret.IsMasked(n.Secret.Reveal()) {
		return mail.Invalid("masked_secret", "secret", "this is a masked secret, as answers show it; give the whole one")
	}
	key := strings.TrimSpace(n.Key.Reveal())
	if a, ok := s.Adapters[n.Type].(provider.Normalizer); ok {
		if secret.IsMasked(key) {
			return mail.Invalid("masked_key", "key", "this is a masked key, as answers show it; give the whole key")
		}
		conn, bad := a.Normalize(n.connection())
		if bad != nil {
			return bad
		}
		n.Domain, n.Endpoint, n.Port, n.Key, n.Secret = conn.Domain, conn.Endpoint, conn.Port, conn.Key, conn.Secret
		return nil
	}
	n.Domain, n.Port, n.Secret = "", 0, secret.String{} // only a Normalizer has a use for them
	switch {
	case key == "":
		p := s.Adapters[n.Type].Profile()
		return mail.Invalid("missing_key", "key", "%s needs a key: %s", p.Title, p.Holds(provider.FieldKey))
	case secret.IsMasked(key):
		return mail.Invalid("masked_key", "key", "this is a masked key, as answers show it; give the whole key")
	case len(key) > maxKey || strings.ContainsFunc(key, notInKey):
		return mail.Invalid("invalid_key", "key", "a key has at most %d printable ASCII characters and no spaces", maxKey)
	}
	n.Key = secret.NewString(key)
	n.Endpoint = strings.TrimSpace(n.Endpoint)
	if n.Endpoint == "" {
		return nil
	}
	u, err := ssrf.CheckURL(n.Endpoint, s.AllowPrivate)
	if err != nil {
		return mail.Invalid("invalid_endpoint", "endpoint", "%s", err)
	}
	if u.RawQuery != "" || u.ForceQuery {
		return mail.Invalid("invalid_endpoint", "endpoint", "the base URL must not have a query")
	}
	n.Endpoint = strings.TrimRight(n.Endpoint, "/")
	return nil
}

// notInKey tells which characters cannot stand in an HTTP header, where every provider wants its key.
func notInKey(r rune) bool { return r <= ' ' || r > '~' }

func (s *Service) knownTypes(t provider.Type) string {
	var known []string
	for k := range s.Adapters {
		if k == provider.IP {
			continue
		}
		known = append(known, fmt.Sprintf("%d (%s)", k, s.Adapters.Name(k)))
	}
	slices.Sort(known)
	return fmt.Sprintf("there is no provider of type %d; the types are %s", t, strings.Join(known, ", "))
}

// refusal turns the end of our patience into the user's words; all else stays.
func refusal(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*provider.SetupError](err); ok || err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return &provider.SetupError{Code: provider.CodeUnreachable, Message: "the provider gave no answer in time", Retry: true}
}

// slug turns a name into lower-case letters and digits with hyphens between: "Postmark (Live)" becomes "postmark-live".
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(norm.NFKD.String(name)) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // the accent of the letter before
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxSlug {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "provider"
}

// later is when to try again after so many failures: 5 s, doubled each time up to 15 min, spread by a fifth to both sides
// so that many TPSPs do not ask one provider at the same moment.
func (s *Service) later(tries int) time.Time {
	const first, most = 5 * time.Second, 15 * time.Minute
	wait := min(first<<min(tries-1, 16), most)
	spread := 0.8 + 0.4*s.Jitter()
	return s.Now().UTC().Add(time.Duration(float64(wait) * spread))
}
