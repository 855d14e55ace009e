package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"postyard/internal/app"
	"postyard/internal/config"
)

func (p *program) serve() *cobra.Command {
	return p.command("serve", "Run the server", config.Serve, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		ctx, log := c.Context(), p.logger(cfg)
		server, err := app.NewServer(ctx, cfg, log)
		if err != nil {
			return unlessStopped(ctx, log, err)
		}
		if err := p.bootstrap(ctx, server); err != nil {
			return unlessStopped(ctx, log, server.Abort(err))
		}
		log.Info("serving", "url", server.URL)
		return server.Run(ctx)
	})
}

// unlessStopped is the error that kept a server from its start: none when it was asked to end meanwhile, as it may be while it waits for its
// database or for another server.
func unlessStopped(ctx context.Context, log *slog.Logger, err error) error {
	if ctx.Err() == nil {
		return err
	}
	log.Info("stopped before it served", "error", err)
	return nil
}

// bootstrap makes the account on the first start and shows its keys, which are not shown again.
func (p *program) bootstrap(ctx context.Context, server *app.Server) error {
	fresh, created, err := server.Bootstrap(ctx, "Postyard")
	if err != nil || !created {
		return err
	}
	return p.say(`An account was created. Keep these keys: they are not printed again.

  account %-8d X-Account-ApiKey:    %s
  sub-account %-4d X-SubAccount-ApiKey: %s   (%s)

Set the dashboard up, with the key of the account, at %s/setup

`, fresh.Account.ID, fresh.AccountKey.Reveal(), fresh.SubAccount.ID, fresh.SubAccountKey.Reveal(), fresh.SubAccount.Name, server.URL)
}

func (p *program) sandbox() *cobra.Command {
	return p.command("sandbox", "Run the provider simulators alone, to test against", config.Sandbox, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			ctx, log := c.Context(), p.logger(cfg)
			sandbox, err := app.NewSandbox(ctx, app.SandboxConfig{Listen: cfg.Listen, Data: cfg.Data, SMTPListen: cfg.SMTPListen,
				SMTPSListen: cfg.SMTPSListen, Seed: cfg.Seed}, log)
			if err != nil {
				return err
			}
			log.Info("the sandbox simulates providers; no mail leaves it", "url", sandbox.URL, "inbox", sandbox.URL+"/sandbox",
				"token", app.SandboxToken, "smtp", sandbox.SMTPURL, "smtps", sandbox.SMTPSURL)
			return sandbox.Run(ctx)
		})
}
