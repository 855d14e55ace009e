package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"postyard/internal/config"
	"postyard/internal/sandbox"
)

// Sandbox is the provider simulators behind a listener.
type Sandbox struct {
	URL      string // where it is reached, without a trailing slash
	SMTPURL  string // where it takes mail, "smtp://127.0.0.1:2525"; "" when it does not
	SMTPSURL string // the same with TLS from the first byte

	log      *slog.Logger
	sandbox  *sandbox.Sandbox
	listener net.Listener
	smtp     net.Listener // nil: none, as of smtps
	smtps    net.Listener
	http     *http.Server
}

// SandboxConfig says where a sandbox listens. Addresses are host:port.
type SandboxConfig struct {
	Listen      string
	Data        string // directory; "" keeps everything in memory
	SMTPListen  string // "": no mail server
	SMTPSListen string // "": none with TLS from the first byte
	Seed        uint64 // makes ids and luck repeatable; 0 makes them random
}

// sandboxGrace is how long open requests may go on when a sandbox stops.
const sandboxGrace = 2 * time.Second

// NewSandbox opens the sandbox's data and starts to listen; requests are served once Run runs.
func NewSandbox(ctx context.Context, cfg SandboxConfig, log *slog.Logger) (_ *Sandbox, err error) {
	s := &Sandbox{log: log}
	if s.sandbox, err = sandbox.New(sandbox.Config{DataDir: cfg.Data, Logger: log, Seed: cfg.Seed}); err != nil {
		return nil, err
	}
	for _, place := range []struct {
		listen   string
		listener *net.Listener
	}{{cfg.Listen, &s.listener}, {cfg.SMTPListen, &s.smtp}, {cfg.SMTPSListen, &s.smtps}} {
		if place.listen == "" {
			continue
		}
		if *place.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", place.listen); err != nil {
			return nil, errors.Join(fmt.Errorf("sandbox: listen: %w", err), s.close())
		}
	}
	s.URL = config.Config{}.BaseURL(s.listener.Addr().String())
	if s.smtp != nil {
		s.SMTPURL = "smtp://" + s.smtp.Addr().String()
	}
	if s.smtps != nil {
		s.SMTPSURL = "smtps://" + s.smtps.Addr().String()
	}
	s.http = newHTTPServer(s.sandbox.Handler(), log)
	s.http.WriteTimeout = 0 // a hanging provider hangs for as long as it is told to
	return s, nil
}

// Run serves until ctx ends. It is called once.
func (s *Sandbox) Run(ctx context.Context) error {
	var running sync.WaitGroup
	background, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { stop(nil) })() // lets go of requests that a fault holds
	running.Go(func() { stop(s.sandbox.Run(background)) })
	running.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			stop(fmt.Errorf("sandbox: serve: %w", err))
		}
	})
	for listener, serve := range map[net.Listener]func(net.Listener) error{s.smtp: s.sandbox.ServeSMTP, s.smtps: s.sandbox.ServeSMTPS} {
		if listener == nil {
			continue
		}
		running.Go(func() {
			if err := serve(listener); err != nil {
				stop(fmt.Errorf("sandbox: serve: %w", err))
			}
		})
	}
	<-background.Done()
	err := context.Cause(background)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), sandboxGrace)
	defer cancel()
	if s.http.Shutdown(shutdown) != nil {
		err = errors.Join(err, s.http.Close())
	}
	err = errors.Join(err, s.sandbox.Close())
	running.Wait()
	return err
}

// close lets go of what NewSandbox took, when Run is not going to.
func (s *Sandbox) close() error {
	errs := []error{s.sandbox.Close()}
	for _, l := range []net.Listener{s.listener, s.smtp, s.smtps} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}
