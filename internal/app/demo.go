package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"postyard/internal/config"
	"postyard/internal/demo"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// SandboxToken is the server token that every sandbox knows.
const SandboxToken = sandbox.DemoServerToken

// DemoIP is the public address of the demo's own IP; behind it is the sandbox's mail server.
const DemoIP = "203.0.113.7"

// Demo is a server and a sandbox in one process.
type Demo struct {
	server     *Server
	sandbox    *Sandbox // nil when one runs elsewhere
	sandboxURL string
	noTraffic  bool
	only       []int // types of providers to connect; none: all
}

// places is where a demo listened; it is kept beside its data. The provider that the demo connected points at the sandbox's
// port, so a demo that is started again on port 0 must come back to the same one.
type places struct {
	Listen        string `json:"listen"`
	SandboxListen string `json:"sandboxListen"`
	SMTPListen    string `json:"smtpListen,omitempty"`
}

const placesName = "demo.json"

// NewDemo opens the data of both and starts to listen.
func NewDemo(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *Demo, err error) {
	d := &Demo{sandboxURL: cfg.SandboxURL, noTraffic: cfg.NoTraffic}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	last, err := lastPlaces(cfg.Data)
	if err != nil {
		return nil, err
	}
	if cfg.SandboxURL == "" {
		listen := sameAgain(cfg.SandboxListen, last.SandboxListen)
		place := SandboxConfig{Listen: listen, Data: filepath.Join(cfg.Data, "sandbox")}
		if cfg.SMTPListen != "" {
			place.SMTPListen = sameAgain(cfg.SMTPListen, last.SMTPListen)
		}
		if d.sandbox, err = NewSandbox(ctx, place, log); err != nil {
			if _, taken := errors.AsType[*net.OpError](err); taken && listen != cfg.SandboxListen {
				err = fmt.Errorf("%w (the provider that was set up in %s points there)", err, cfg.Data)
			}
			return nil, err
		}
		d.sandboxURL = d.sandbox.URL
	}
	again := cfg
	if d.sandbox != nil && d.sandbox.SMTPURL != "" {
		again.IPs = []config.IP{{Address: DemoIP, Server: secret.NewString("smtp://" + sandbox.DemoSMTPUser + ":" + sandbox.DemoSMTPPassword + "@" +
			d.sandbox.smtp.Addr().String())}}
	}
	again.Listen = sameAgain(cfg.Listen, last.Listen)
	if d.server, err = NewServer(ctx, again, log); err != nil {
		return nil, err
	}
	return d, d.remember(cfg.Data)
}

// sameAgain returns where to listen: when any port will do, the one of the last time.
func sameAgain(listen, last string) string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil || port != "0" || last == "" {
		return listen
	}
	return last
}

func lastPlaces(dir string) (last places, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, placesName))
	if errors.Is(err, fs.ErrNotExist) {
		return places{}, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &last)
	}
	if err != nil {
		return places{}, fmt.Errorf("read %s: %w", placesName, err)
	}
	return last, nil
}

func (d *Demo) remember(dir string) error {
	now := places{Listen: d.server.listener.Addr().String()}
	if d.sandbox != nil {
		now.SandboxListen = d.sandbox.listener.Addr().String()
		if d.sandbox.smtp != nil {
			now.SMTPListen = d.sandbox.smtp.Addr().String()
		}
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("write %s: %w", placesName, err)
	}
	temporary := filepath.Join(dir, placesName+".new")
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", placesName, err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, placesName)); err != nil {
		return fmt.Errorf("write %s: %w", placesName, err)
	}
	return nil
}

// Run serves both until ctx ends. The server stops first, so that its last calls find their provider.
func (d *Demo) Run(ctx context.Context) error {
	if d.sandbox == nil {
		return d.server.Run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	provider, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	var failed error
	running.Go(func() {
		failed = d.sandbox.Run(provider)
		cancel()
	})
	err := d.server.Run(ctx)
	stop()
	running.Wait()
	return errors.Join(err, failed)
}

// SetUp makes what a user would make. The demo must run.
func (d *Demo) SetUp(ctx context.Context) (*demo.Scene, error) {
	if _, _, err := d.server.Bootstrap(ctx, "Demo"); err != nil {
		return nil, err
	}
	account := d.server.directory.Current().Accounts()[0]
	key, err := d.server.Accounts.AccountKey(account)
	if err != nil {
		return nil, err
	}
	smtp, address := "", ""
	if d.sandbox != nil && d.sandbox.SMTPURL != "" {
		smtp, address = d.sandbox.SMTPURL, DemoIP
	}
	return demo.SetUp(ctx, demo.Config{URL: d.server.URL, AccountID: account.ID, AccountKey: key, SandboxURL: d.sandboxURL,
		SMTPURL: smtp, IP: address, NoTraffic: d.noTraffic, Only: d.only})
}

func (d *Demo) close() error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.close())
	}
	if d.sandbox != nil {
		errs = append(errs, d.sandbox.close())
	}
	return errors.Join(errs...)
}
