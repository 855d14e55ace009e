package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/fault"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/sendgrid"
	"postyard/internal/sandbox/ses"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/smtp"
	"postyard/internal/sandbox/store"
)

// Credentials and names of the seed.
const (
	// DemoServerToken is the Postmark server token of the seeded server.
	DemoServerToken = postmark.DemoServerToken
	// DemoAccountToken is the Postmark account token.
	DemoAccountToken = postmark.DemoAccountToken
	// DemoTemplateAlias is the alias of the seeded template.
	DemoTemplateAlias = postmark.DemoTemplateAlias
	// DemoSendGridKey is the API key of the SendGrid account.
	DemoSendGridKey = sendgrid.DemoKey
	// DemoSESKeyID and DemoSESSecret are the access key of Amazon SES and SNS, in the region SESRegion.
	DemoSESKeyID  = ses.DemoKeyID
	DemoSESSecret = ses.DemoSecret
	SESRegion     = ses.Region
	// DemoSMTPUser and DemoSMTPPassword log in at the mail server.
	DemoSMTPUser     = smtp.DemoUser
	DemoSMTPPassword = smtp.DemoPassword
)

// DefaultDeliveryDelay is the time from acceptance to the Delivery event.
const DefaultDeliveryDelay = settings.DefaultDeliveryDelay

const journalName = "sandbox.ndjson"

// Config says how a sandbox is to be. The zero Config is a sandbox in memory that logs nothing.
type Config struct {
	// DataDir is where mails and everything else are kept; it is created. Empty keeps everything in memory.
	DataDir string
	// Logger may be nil.
	Logger *slog.Logger
	// DeliveryDelay is the time from acceptance to the Delivery event: 0 is DefaultDeliveryDelay, negative is none. It can be
	// changed while the sandbox runs.
	DeliveryDelay time.Duration
	// Seed makes ids and the luck of faults repeatable; 0 makes them random. A seeded sandbox repeats its ids after a reset.
	Seed uint64
	// Clock may be nil for the machine's, which the control API can then hold and advance. With a clock.Manual, nothing is
	// delivered and retried until the program advances it.
	Clock clock.Clock
	// RetryLadder are the waits between the tries of a webhook; nil is Postmark's nine retries. It can be changed while the
	// sandbox runs.
	RetryLadder []time.Duration
}

// provider is what a simulated provider is to the sandbox.
type provider interface {
	store.Restorer
	Attach(*store.Store)
	Raise(mail *store.Mail, wish store.Wish) (store.Outcome, error)
	Reset(keepWebhooks bool, empty func(stay []store.Document) error) error
	Servers() []store.Server
}

// Sandbox is one running simulator. Use New, serve its Handler, and Run it.
type Sandbox struct {
	log       *slog.Logger
	seed      uint64
	clock     clock.Clock
	initial   settings.Settings
	settings  *settings.Current
	timetable *clock.Timetable
	hooks     *hook.Engine
	faults    *fault.Injector
	store     *store.Store
	providers map[string]provider // by the name in their mails
	postmark  *postmark.Simulator
	sendgrid  *sendgrid.Simulator
	ses       *ses.Simulator
	smtp      *smtp.Receiver
	handler   http.Handler
}

// New returns a sandbox in its seeded state, or, with a data directory that was used before, in the state that it had. The error
// is about the data directory.
func New(cfg Config) (*Sandbox, error) {
	cfg = cfg.withDefaults()
	initial := settings.Default()
	initial.DeliveryDelayMS = max(0, cfg.DeliveryDelay.Milliseconds())
	if cfg.RetryLadder != nil {
		initial.RetryLadder = settings.FormatLadder(cfg.RetryLadder)
	}
	b := &Sandbox{log: cfg.Logger, seed: cfg.Seed, clock: cfg.Clock, initial: initial, settings: settings.NewCurrent(initial),
		timetable: clock.NewTimetable(cfg.Clock), hooks: hook.New(cfg.Clock), faults: fault.New(luck(cfg.Seed))}
	var err error
	b.postmark, err = postmark.New(postmark.Deps{Clock: cfg.Clock, Timetable: b.timetable, Hooks: b.hooks, Settings: b.settings,
		Log: cfg.Logger, Seed: cfg.Seed})
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	b.sendgrid = sendgrid.New(sendgrid.Deps{Clock: cfg.Clock, Timetable: b.timetable, Hooks: b.hooks, Settings: b.settings, Log: cfg.Logger,
		Seed: cfg.Seed})
	b.ses = ses.New(ses.Deps{Clock: cfg.Clock, Timetable: b.timetable, Hooks: b.hooks, Settings: b.settings, Log: cfg.Logger, Seed: cfg.Seed})
	b.smtp, err = smtp.New(smtp.Deps{Faults: b.faults, Settings: b.settings, Log: cfg.Logger, Seed: cfg.Seed})
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	b.providers = map[string]provider{postmark.Provider: b.postmark, sendgrid.Provider: b.sendgrid, ses.Provider: b.ses, smtp.Provider: b.smtp}
	if b.store, err = open(cfg, b.providers); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	for _, p := range b.providers {
		p.Attach(b.store)
	}
	b.handler = b.routes()
	return b, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.NewSteered()
	}
	if cfg.DeliveryDelay == 0 {
		cfg.DeliveryDelay = DefaultDeliveryDelay
	}
	return cfg
}

// luck returns what faults draw from; like the ids of the simulators it repeats itself for a seed.
func luck(seed uint64) rand.Source {
	if seed == 0 {
		seed = rand.Uint64()
	}
	return rand.NewPCG(seed, 0)
}

func open(cfg Config, providers map[string]provider) (*store.Store, error) {
	if cfg.DataDir == "" {
		return store.Memory(cfg.Clock.Now), nil
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	restorers := make(map[string]store.Restorer, len(providers))
	for name, p := range providers {
		restorers[name] = p
	}
	return store.Open(filepath.Join(cfg.DataDir, journalName), cfg.Clock.Now, restorers)
}

// Handler serves everything: the providers' APIs, the control API and the pages.
func (b *Sandbox) Handler() http.Handler { return b.handler }

// ServeSMTP takes mail by SMTP from a listener, with STARTTLS for those who want it, until Close.
func (b *Sandbox) ServeSMTP(l net.Listener) error { return b.smtp.Serve(l) }

// ServeSMTPS is ServeSMTP with TLS from the first byte.
func (b *Sandbox) ServeSMTPS(l net.Listener) error { return b.smtp.ServeTLS(l) }

// SMTPAuthority returns the certificate, in PEM, that signed the mail server's. It is another one in every run.
func (b *Sandbox) SMTPAuthority() string { return b.smtp.Authority() }

// Run does the background work: it raises delivery events when they are due and delivers webhooks. It returns nil when ctx ends
// and all its goroutines have ended; requests that a fault holds are let go first. It runs once.
func (b *Sandbox) Run(ctx context.Context) error {
	var background sync.WaitGroup
	background.Go(func() { b.timetable.Run(ctx) })
	background.Go(func() { b.hooks.Run(ctx) })
	<-ctx.Done()
	b.faults.Close()
	background.Wait()
	return nil
}

// Close lets requests go that a fault holds and closes the data directory. It ends ServeSMTP and ServeSMTPS. Call it
// after Run has returned and the server that serves the Handler has stopped.
func (b *Sandbox) Close() error {
	b.faults.Close()
	if err := errors.Join(b.smtp.Close(), b.store.Close()); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// reset goes back to the seed: no mail, no events, no faults, the settings, the luck and the clock of the start. Webhooks are kept,
// where their streams are, unless they are to go as well.
func (b *Sandbox) reset(keepWebhooks bool) error {
	b.timetable.Clear()
	if steered, ok := b.clock.(*clock.Steered); ok {
		steered.Reset()
	}
	b.faults.Reset(luck(b.seed))
	b.settings.Set(b.initial)
	empty := func(stay []store.Document) error {
		if err := b.store.Reset(stay); err != nil {
			return err
		}
		b.timetable.Clear() // here, where no provider can have accepted a mail yet whose events this would lose
		b.hooks.Reset()
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(b.providers)) { // each holds still until the store is empty; always in this order
		p, inner := b.providers[name], empty
		empty = func(stay []store.Document) error {
			return p.Reset(keepWebhooks, func(own []store.Document) error { return inner(append(stay, own...)) })
		}
	}
	return empty(nil)
}
