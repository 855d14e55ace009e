package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/app"
	"postyard/internal/config"
	"postyard/internal/demo"
)

func (p *program) demo() *cobra.Command {
	return p.command("demo", "Run everything on this machine with no account anywhere", config.Demo, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			stage, err := app.NewDemo(ctx, cfg, p.logger(cfg))
			if err != nil {
				return err
			}
			ended := make(chan error, 1)
			go func() { ended <- stage.Run(ctx) }()
			scene, err := stage.SetUp(ctx)
			if err == nil {
				err = p.present(scene, cfg.JSON)
			}
			if err != nil {
				cancel()
			}
			if errors.Is(err, context.Canceled) {
				err = nil // interrupted while setting up
			}
			return errors.Join(err, <-ended)
		})
}

// present tells how to use what was set up.
func (p *program) present(s *demo.Scene, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode scene: %w", err)
		}
		return p.say("%s\n", line)
	}
	first := "Everything is as it was left."
	if s.MessageID != "" {
		first = fmt.Sprintf("A first email was sent. See what became of it:\n\n  export POSTYARD_URL=%s POSTYARD_ACCOUNT_KEY=%s\n  %s message %s", s.URL, s.AccountAPIKey, os.Args[0], s.MessageID)
	}
	curl, err := p.curl(s)
	if err != nil {
		return err
	}
	return p.say(`Postyard runs at %s

  account %-12d X-Account-ApiKey:    %s
  sub-account %-8d X-SubAccount-ApiKey: %s   (%s)
  sub-account %-8d X-SubAccount-ApiKey: %s   (%s)

Postmark is played by the sandbox: its inbox is at %s/sandbox
  token %s, stream %s, connected as provider %d, reached by the IP pool %s
%s
%s

Send another one:

%s

Ctrl-C ends it.
`, s.URL, s.AccountID, s.AccountAPIKey, s.SubAccounts[0].ID, s.SubAccounts[0].APIKey, s.SubAccounts[0].Name,
		s.SubAccounts[1].ID, s.SubAccounts[1].APIKey, s.SubAccounts[1].Name,
		s.SandboxURL, s.SandboxToken, s.Stream, s.TPSPID, s.Pool, mailServer(s), first, curl)
}

// mailServer tells how to reach the sandbox by SMTP.
func mailServer(s *demo.Scene) string {
	if s.SMTP == nil {
		return ""
	}
	return fmt.Sprintf("It is a mail server, too, to be connected as a provider of type 6:\n  endpoint %s, key %s, secret %s\n", s.SMTP.URL, s.SMTP.User, s.SMTP.Password)
}

// curl is the first email as a command to paste.
func (p *program) curl(s *demo.Scene) (string, error) {
	body, err := json.MarshalIndent(s.FirstEmail(), "  ", "  ")
	if err != nil {
		return "", fmt.Errorf("encode email: %w", err)
	}
	return fmt.Sprintf("  curl %s/api/v1/subaccount/email/ -H 'X-SubAccount-ApiKey: %s' -H 'Content-Type: application/json' -d '%s'",
		s.URL, s.SubAccounts[0].APIKey, strings.ReplaceAll(string(body), "'", `'\''`)), nil
}
