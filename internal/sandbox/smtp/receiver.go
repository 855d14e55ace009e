package smtp

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"postyard/internal/sandbox/fault"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// Provider is the name under which the server's mails are kept.
const Provider = "smtp"

// Seeded credentials and names.
const (
	DemoUser     = "sandbox-user"
	DemoPassword = "sandbox-smtp-password"

	serverName = "Mail server"
	stream     = "smtp"
	hostname   = "mail.sandbox.test"
)

// Limits of a message.
const (
	maxMessage    = 32 << 20 // bytes
	maxRecipients = 100
)

// How long a client may keep silent, and how long a stop waits for what is under way.
const (
	readTimeout  = 5 * time.Minute
	writeTimeout = time.Minute
	stopTimeout  = 5 * time.Second
)

// Deps are what a receiver works with.
type Deps struct {
	Faults   *fault.Injector
	Settings *settings.Current
	Log      *slog.Logger
	Seed     uint64 // makes ids repeatable; 0 makes them random
}

// Receiver is a mail server. Use New, then Attach, then Serve and ServeTLS.
type Receiver struct {
	Deps
	certificate *certificate
	server      *gosmtp.Server
	store       *store.Store

	mu        sync.Mutex
	random    rand.Source
	addresses []string
	listeners []net.Listener
	lines     map[*line]struct{} // connections
	closed    bool
	faulty    sync.WaitGroup // connections that never get to the server
}

// New returns a receiver. It is a store.Restorer; once its store is open it must be given to Attach.
func New(d Deps) (*Receiver, error) {
	c, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("smtp: make a certificate: %w", err)
	}
	r := &Receiver{Deps: d, certificate: c, random: newRandom(d.Seed), lines: make(map[*line]struct{})}
	r.server = gosmtp.NewServer(gosmtp.BackendFunc(r.newSession))
	r.server.Domain = hostname
	r.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c.leaf}, MinVersion: tls.VersionTLS12}
	r.server.MaxMessageBytes, r.server.MaxRecipients = maxMessage, maxRecipients
	r.server.AllowInsecureAuth = true // nothing here is worth keeping
	r.server.ReadTimeout, r.server.WriteTimeout = readTimeout, writeTimeout
	r.server.ErrorLog = slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug)
	return r, nil
}

func newRandom(seed uint64) rand.Source {
	if seed == 0 {
		return rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return rand.NewPCG(seed, 2)
}

// Attach gives the receiver its store. Ids that a seeded receiver gave before a restart are not given again.
func (r *Receiver) Attach(s *store.Store) {
	r.store = s
	if n := s.Len(); r.Seed != 0 && n > 0 {
		r.random = rand.NewPCG(r.Seed^uint64(n)<<32, 2)
	}
}

// Authority returns the certificate that signed the server's, in PEM.
func (r *Receiver) Authority() string { return r.certificate.authority }

// Serve takes mail from a listener, with STARTTLS for those who want it, until Close.
func (r *Receiver) Serve(l net.Listener) error { return r.serve(l, "smtp", r.gate(l)) }

// ServeTLS is Serve with TLS from the first byte.
func (r *Receiver) ServeTLS(l net.Listener) error {
	return r.serve(l, "smtps", tls.NewListener(r.gate(l), r.server.TLSConfig))
}

func (r *Receiver) serve(l net.Listener, scheme string, gated net.Listener) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return l.Close()
	}
	r.addresses = append(r.addresses, scheme+"://"+l.Addr().String())
	slices.Sort(r.addresses)
	r.listeners = append(r.listeners, l)
	r.mu.Unlock()
	if err := r.server.Serve(gated); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("smtp: %w", err)
	}
	return nil
}

// Close ends all connections and listeners and waits for them.
func (r *Receiver) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	open := slices.Collect(maps.Keys(r.lines))
	r.mu.Unlock()
	for _, l := range open {
		_ = l.Close() // the client may have closed it
	}
	for _, l := range r.listeners { // the server closes those that it knows of by now
		_ = l.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := r.server.Shutdown(ctx)
	r.faulty.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("smtp: %w", err)
	}
	return nil
}

// Servers tells what there is to connect to, once something listens.
func (r *Receiver) Servers() []store.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.addresses) == 0 {
		return nil
	}
	return []store.Server{{Provider: Provider, Name: serverName, Addresses: slices.Clone(r.addresses), User: DemoUser, Password: DemoPassword}}
}

// Raise refuses: a mail server reports nothing.
func (*Receiver) Raise(*store.Mail, store.Wish) (store.Outcome, error) {
	return store.Outcome{}, &store.Refusal{Reason: "a mail server reports no events"}
}

// Reset empties the store while no mail can come in.
func (r *Receiver) Reset(_ bool, empty func(stay []store.Document) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := empty(nil); err != nil {
		return err
	}
	r.random = newRandom(r.Seed)
	return nil
}

// letter is a mail as the journal has it.
type letter struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	Data []byte   `json:"data"`
}

// keep puts a mail into the inbox.
func (r *Receiver) keep(l *letter) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	content := &mail{letter: l}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err = r.store.Add([]store.New{{ID: r.newID(), Provider: Provider, Server: serverName, Stream: stream, Content: content,
		Keys: content.keys(), Raw: raw}})
	return err
}

// newID returns a UUID, version 4. The lock is held.
func (r *Receiver) newID() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], r.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.random.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// RestoreMail implements store.Restorer.
func (*Receiver) RestoreMail(_ *store.Mail, raw json.RawMessage) (store.Content, []string, error) {
	l := &letter{}
	if err := json.Unmarshal(raw, l); err != nil {
		return nil, nil, fmt.Errorf("smtp: %w", err)
	}
	content := &mail{letter: l}
	return content, content.keys(), nil
}

// RestoreDocument implements store.Restorer: there are none.
func (*Receiver) RestoreDocument(kind, _ string, _ json.RawMessage) error {
	return fmt.Errorf("smtp: unknown kind of document %q", kind)
}

// RestoreEvents implements store.Restorer: there are none.
func (*Receiver) RestoreEvents(*store.Mail, []store.Event) {}

// pick returns the fault at a stage. Rules for any provider are not meant.
func (r *Receiver) pick(stage string) (fault.Rule, <-chan struct{}, bool) {
	return r.Faults.PickNamed(fault.Place{Provider: Provider, Server: [2]string{serverName, DemoUser}, Path: "/" + stage})
}

// refusal is the answer of a rule of kind status. A body that begins with an enhanced code is one.
func refusal(rule fault.Rule) *gosmtp.SMTPError {
	text := strings.TrimSpace(strings.NewReplacer("\r", " ", "\n", " ").Replace(rule.Body))
	e := &gosmtp.SMTPError{Code: rule.Status, EnhancedCode: gosmtp.NoEnhancedCode, Message: text}
	var code gosmtp.EnhancedCode
	if first, rest, ok := strings.Cut(text, " "); ok {
		if n, err := fmt.Sscanf(first, "%d.%d.%d", &code[0], &code[1], &code[2]); err == nil && n == 3 {
			e.EnhancedCode, e.Message = code, rest
		}
	}
	if e.Message == "" {
		e.Message = "a fault of the sandbox"
	}
	return e
}
