// Package app puts the parts together: it builds a server or a sandbox from a configuration, starts everything in the order
// in which the parts need each other, and stops it in reverse.
//
// A server stops in this order: it takes no more requests and finishes the open ones; what they handed over is committed;
// calls to providers that are on the wire end and are recorded; the store closes. A kill at any point loses nothing that
// was acknowledged, it only makes the next start ask the providers.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"postyard/internal/accept"
	"postyard/internal/account"
	"postyard/internal/api"
	"postyard/internal/audit"
	"postyard/internal/catchup"
	"postyard/internal/config"
	"postyard/internal/directory"
	"postyard/internal/dispatch"
	"postyard/internal/dns"
	"postyard/internal/doctor"
	"postyard/internal/domain"
	"postyard/internal/ingest"
	"postyard/internal/ip"
	"postyard/internal/ippool"
	"postyard/internal/mail"
	"postyard/internal/mailbox/mx"
	"postyard/internal/member"
	"postyard/internal/peer"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/provider/sendgrid"
	"postyard/internal/provider/ses"
	"postyard/internal/provider/smtp"
	"postyard/internal/replan"
	"postyard/internal/secret"
	"postyard/internal/ssrf"
	"postyard/internal/store"
	"postyard/internal/suppress"
	"postyard/internal/template"
	"postyard/internal/tpsp"
	"postyard/internal/track"
	"postyard/internal/web"
	"postyard/internal/webhook"
)

// Server is one Postyard server.
type Server struct {
	URL      string           // where it is reached, without a trailing slash
	Accounts *account.Service // for the first start and the demo, which show keys

	log        *slog.Logger
	directory  *directory.Directory
	store      *storage
	run        string // names this run of the node
	transport  *http.Transport
	adapters   provider.Registry
	listener   net.Listener
	http       *http.Server
	mailboxes  *mx.Classifier
	domains    *domain.Service
	accepting  *accept.Service
	dispatcher *dispatch.Dispatcher
	ingesting  *ingest.Service
	registrar  *tpsp.Registrar
	ips        *ip.Service
	catching   *catchup.Service
	examiner   *doctor.Service
	templates  *template.Service
	suppress   *suppress.Service
	tracking   *track.Service
	replanning *replan.Service
	hooks      *webhook.Service
	trail      *audit.Log
	posting    *http.Transport // of hooks
	grace      time.Duration
}

// Limits of a connection. The API's answers are small; the longest request waits for a provider's set-up.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 60 * time.Second
	answerTimeout  = 90 * time.Second
	idleTimeout    = 2 * time.Minute
	headerBytes    = 64 << 10
)

// NewServer opens the database and starts to listen; requests are served once Run runs.
func NewServer(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *Server, err error) {
	s := &Server{log: log, grace: cfg.ShutdownGrace, run: uuid.NewString()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	servers, err := mailServers(cfg.IPs)
	if err != nil {
		return nil, err
	}
	if s.store, err = openStorage(ctx, cfg, log); err != nil {
		return nil, err
	}
	var box *secret.Box
	if err = s.patiently(ctx, func() (err error) {
		if box, err = openBox(ctx, cfg, s.store); err == nil {
			s.directory, err = directory.Open(ctx, ip.Loader{Loader: s.store, Servers: servers})
		}
		return err
	}); err != nil {
		return nil, err
	}
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.URL = cfg.BaseURL(s.listener.Addr().String())
	return s, s.assemble(ctx, cfg, box, servers)
}

// providers is the registry: one line for each kind of provider.
func providers(transport *http.Transport, allowPrivate bool, now func() time.Time) provider.Registry {
	return provider.Registry{
		provider.Postmark:   postmark.New(postmark.Config{Transport: transport, Now: now}),
		provider.SendGrid:   sendgrid.New(sendgrid.Config{Transport: transport, Now: now, AllowPrivate: allowPrivate}),
		provider.AmazonSES:  ses.New(ses.Config{Transport: transport, Now: now, AllowPrivate: allowPrivate}),
		provider.CustomSMTP: smtp.New(smtp.Config{Dial: transport.DialContext, AllowPrivate: allowPrivate, Now: now}),
		provider.IP:         smtp.New(smtp.Config{Own: true, AllowPrivate: true, Now: now}), // the operator set its addresses, not a user
	}
}

// dnsServer is which server the option dns says to ask: "" is the system's. Without on, none is.
func dnsServer(option string) (server string, on bool) {
	if option == config.SystemDNS {
		return "", true
	}
	return option, option != ""
}

// newMailboxes looks at MX records where DNS may be asked.
func (s *Server) newMailboxes(cfg config.Config) *mx.Classifier {
	c := mx.Config{Now: time.Now, Jitter: rand.Float64, Log: s.log}
	if server, on := dnsServer(cfg.DNS); on {
		c.Resolver = mx.NewResolver(server)
	}
	return mx.New(c)
}

// newDomains is told where DNS is, and who we are there.
func (s *Server) newDomains(cfg config.Config, box *secret.Box, holder string) *domain.Service {
	c := domain.Config{Directory: s.directory, Store: s.store, Box: box, MailHost: cmp.Or(cfg.MailHost, domain.PublicHost(s.URL)), Holder: holder,
		Now: s.store.Now, Jitter: rand.Float64, Log: s.log}
	if server, on := dnsServer(cfg.DNS); on {
		c.Resolver = dns.New(server)
	}
	return domain.New(c)
}

// trackingHost tells where the links of a message stand; nil: at the public URL. With https that is so unless there are certificates for the
// senders' names: a link that a browser warns of is worse than one with our name.
func (s *Server) trackingHost(cfg config.Config) func(*store.Job) string {
	if strings.HasPrefix(s.URL, "https:") && !cfg.TrackingDomains {
		return nil
	}
	return func(j *store.Job) string {
		return s.domains.TrackingURL(s.URL, j.AccountID, j.SubAccountID, mail.Domain(j.Content.From.Email))
	}
}

func (s *Server) assemble(ctx context.Context, cfg config.Config, box *secret.Box, servers ip.Servers) error {
	s.transport = ssrf.NewTransport(ssrf.Options{AllowPrivate: cfg.AllowPrivate, MaxIdleConnsPerHost: cfg.ProviderConcurrency + 4})
	now, holder := s.store.Now, store.OwnerOf(s.store.Node(), s.run)
	adapters := providers(s.transport, cfg.AllowPrivate, now)
	s.adapters = adapters
	s.Accounts = account.New(s.directory, s.store, box, now)
	s.ips = ip.New(ip.Config{Directory: s.directory, Store: s.store, Servers: servers, Now: now})
	tpsps := tpsp.NewService(tpsp.Config{Directory: s.directory, Store: s.store, Adapters: adapters, Box: box, PublicURL: s.URL,
		AllowPrivate: cfg.AllowPrivate, Holder: holder, Now: now, Jitter: rand.Float64, Log: s.log})
	connections := ways{tpsps, s.ips}
	s.registrar = tpsp.NewRegistrar(tpsps)
	s.domains = s.newDomains(cfg, box, holder)
	s.tracking = track.New(track.Config{Key: box.Derive("track.token"), PublicURL: s.URL, Store: s.store, Directory: s.directory, Providers: adapters,
		Log: s.log, Now: now, Host: s.trackingHost(cfg)})
	var err error
	if err = s.patiently(ctx, func() (err error) {
		s.templates, err = template.New(ctx, template.Config{Store: s.store, Directory: s.directory, Providers: adapters, Connections: connections,
			Holder: holder, Unsubscribe: s.tracking.Unsubscribe, Log: s.log, Now: now})
		return err
	}); err != nil {
		return err
	}
	s.dispatcher = dispatch.New(dispatch.Config{Store: s.store, Directory: s.directory, Providers: adapters, Connections: connections,
		Templates: s.templates, Tracking: s.tracking, Suppressions: s.store, Signers: s.domains, Log: s.log, Now: now, Jitter: rand.Float64, Node: s.store.Node(), Run: s.run, BatchSize: cfg.BatchSize, Concurrency: cfg.ProviderConcurrency,
		CallTimeout: cfg.CallTimeout, TTL: cfg.MessageTTL, Grace: cfg.ShutdownGrace, Poll: s.store.poll,
		Rules: dispatch.Rules{AskAfter: cfg.AskAfter, AmbiguousWait: cfg.AmbiguousWait}})
	s.store.dispatcher = s.dispatcher
	s.mailboxes = s.newMailboxes(cfg)
	planner := plan.New(adapters, now)
	planner.Templates = s.templates
	s.accepting = accept.New(accept.Config{Store: s.store, Directory: s.directory, Planner: planner, Mailboxes: s.mailboxes, Templates: s.templates, Now: now,
		AllowPrivate: cfg.AllowPrivate, MaxBacklog: int64(cfg.MaxBacklog), Room: s.store.room, Wake: s.dispatcher.Wake})
	s.replanning = replan.New(replan.Config{Store: s.store, Directory: s.directory, Planner: planner, Holder: holder, Wake: s.dispatcher.Wake, Now: now,
		Log: s.log})
	pools := ippool.New(ippool.Config{Directory: s.directory, Store: s.store, Now: now, Changed: s.changed})
	s.ingesting = ingest.New(ingest.Config{Store: s.store, Directory: s.directory, Providers: adapters, Hooks: connections,
		Log: s.log, Now: now})
	s.catching = catchup.New(catchup.Config{Store: s.store, Directory: s.directory, Providers: adapters, Connections: connections, Holder: holder,
		Log: s.log, Now: now, Jitter: rand.Float64})
	s.suppress = suppress.New(suppress.Config{Store: s.store, Directory: s.directory, Providers: adapters, Connections: connections, Holder: holder,
		Every: cfg.SuppressionInterval, Log: s.log, Now: now, Jitter: rand.Float64})
	installation, err := s.store.Installation(ctx)
	if err != nil {
		return fmt.Errorf("read installation: %w", err)
	}
	s.posting = ssrf.NewTransport(ssrf.Options{AllowPrivate: cfg.AllowPrivate})
	s.hooks = webhook.New(webhook.Config{Store: s.store, Directory: s.directory, Box: box, Transport: s.posting, AllowPrivate: cfg.AllowPrivate,
		Installation: installation, Holder: holder, Now: now, Jitter: rand.Float64, Log: s.log, Poll: s.store.hookPoll()})
	s.store.recorded = s.hooks.Hint
	s.examiner = doctor.New(doctor.Config{Directory: s.directory, Store: s.store, Adapters: adapters, Connections: connections, CatchUp: s.catching,
		Templates: s.templates, Domains: s.domains, Planner: planner, Webhooks: s.hooks, PublicURL: s.URL, Transport: s.transport, Claim: dispatch.ClaimLength(cfg.CallTimeout), Now: now})
	stopping := make(chan struct{})
	proxies := peer.Proxies(cfg.TrustedProxies)
	if proxies == nil {
		proxies = peer.Standing(s.URL)
	}
	s.trail = audit.New(audit.Config{Store: s.store, Now: now, Log: s.log})
	members, err := member.New(member.Config{Store: s.store, Accounts: s.Accounts, PublicURL: s.URL, Proxies: proxies, Now: now, Audit: s.trail, Alone: s.onlyAccount})
	if err != nil {
		return err
	}
	dashboard, err := web.New(web.Config{Members: members, Directory: s.directory, PublicURL: s.URL, Log: s.log})
	if err != nil {
		return err
	}
	s.http = newHTTPServer(api.New(api.Config{Directory: s.directory, Accounts: s.Accounts, Sender: s.accepting, Providers: connections, Kinds: s.adapters,
		Pools: pools, IPs: s.ips, Planner: planner, Mailboxes: s.mailboxes, Journal: s.store, Events: s.store, Messages: s.store, Books: s.store, Statistics: s.store,
		Domains: s.domains, Ingest: s.ingesting, CatchUp: s.catching,
		Templates: s.templates, Fill: s.templates, Suppressions: s.suppress, Webhooks: s.hooks, Doctor: s.examiner, Tracking: s.tracking, Queue: s.store, Claim: dispatch.ClaimLength(cfg.CallTimeout), Changed: s.changed, Now: now, Installation: installation,
		Log: s.log, Proxies: proxies, RateLimit: cfg.RateLimit, Members: members, Audit: s.trail, Web: dashboard, Stopping: stopping}), s.log)
	s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(stopping) }))
	s.http.RegisterOnShutdown(s.catching.Stop) // requests that ask providers may take long
	s.http.RegisterOnShutdown(s.templates.Stop)
	s.http.RegisterOnShutdown(s.suppress.Stop)
	return nil
}

// changed tells everyone who acts on the configuration that it has changed.
func (s *Server) changed() {
	s.dispatcher.WakeAll()
	s.replanning.Hint()
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
}

// Run serves until ctx ends, then stops in order. It is called once.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	failed := make(chan error, 2)
	running.Go(func() { paceCollector(background) })
	running.Go(func() { s.mailboxes.Run(background) })
	running.Go(func() { s.domains.Run(background) })
	running.Go(func() { s.accepting.Run(background) })
	running.Go(func() { s.ingesting.Run(background) })
	running.Go(func() { s.registrar.Run(background) })
	running.Go(func() { s.catching.Run(background) })
	running.Go(func() { s.templates.Run(background) })
	running.Go(func() { s.suppress.Run(background) })
	running.Go(func() { s.tracking.Run(background) })
	running.Go(func() { s.replanning.Run(background) })
	running.Go(func() { s.hooks.Run(background) })
	running.Go(func() { s.trail.Run(background) })
	if s.store.Shared() {
		running.Go(func() { s.follow(background) })
	}
	running.Go(func() {
		if err := s.dispatcher.Run(background); err != nil {
			failed <- err
		}
	})
	running.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve: %w", err)
		}
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.log.Info("stopping")
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if halt := s.http.Shutdown(shutdown); halt != nil {
		s.log.Warn("some requests did not end in time and are cut", "error", halt)
		err = errors.Join(err, s.http.Close())
	}
	stop()
	running.Wait()
	return errors.Join(err, s.close())
}

// Abort closes a server that is not going to run, and returns the reason with whatever went wrong in closing.
func (s *Server) Abort(reason error) error { return errors.Join(reason, s.close()) }

// close lets go of what NewServer took.
func (s *Server) close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, t := range []*http.Transport{s.transport, s.posting} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
	for _, a := range s.adapters {
		if held, ok := a.(io.Closer); ok { // it has connections of its own
			errs = append(errs, held.Close())
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// onlyAccount is the account when there is only one, else 0.
func (s *Server) onlyAccount() int32 {
	if list := s.directory.Current().Accounts(); len(list) == 1 {
		return list[0].ID
	}
	return 0
}
