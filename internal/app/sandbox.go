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
	URL string // where it is reached, without a trailing slash

	log      *slog.Logger
	sandbox  *sandbox.Sandbox
	listener net.Listener
	http     *http.Server
}

// sandboxGrace is how long open requests may go on when a sandbox stops.
const sandboxGrace = 2 * time.Second

// NewSandbox opens the sandbox's data and starts to listen; requests are served once Run runs.
func NewSandbox(ctx context.Context, listen, data string, log *slog.Logger) (_ *Sandbox, err error) {
	s := &Sandbox{log: log}
	if s.sandbox, err = sandbox.New(sandbox.Config{DataDir: data, Logger: log}); err != nil {
		return nil, err
	}
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", listen); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: listen: %w", err), s.sandbox.Close())
	}
	s.URL = config.Config{}.BaseURL(s.listener.Addr().String())
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
	running.Wait()
	return errors.Join(err, s.sandbox.Close())
}

// close lets go of what NewSandbox took, when Run is not going to.
func (s *Sandbox) close() error { return errors.Join(s.listener.Close(), s.sandbox.Close()) }
