package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
			log := p.logger(cfg)
			stage, err := app.NewDemo(ctx, cfg, log)
			if err != nil {
				return unlessStopped(ctx, log, err)
			}
			ended := make(chan error, 1)
			go func() { ended <- stage.Run(ctx) }()
			scene, err := stage.SetUp(ctx)
			if err == nil {
				err = p.present(scene, cfg)
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

// present tells how to use what was set up, to people and to their shells.
func (p *program) present(s *demo.Scene, cfg config.Config) error {
	variables := filepath.Join(cfg.Data, "env.sh")
	if err := os.WriteFile(variables, []byte(shellVariables(s)), 0o600); err != nil {
		return fmt.Errorf("write the variables for shells: %w", err)
	}
	if cfg.JSON {
		line, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode scene: %w", err)
		}
		return p.say("%s\n", line)
	}
	first := "Everything is as it was left."
	if s.MessageID != "" {
		first = fmt.Sprintf("A first email was sent. See what became of it, in another terminal:\n\n  . %s\n  %s message %s", variables, os.Args[0], s.MessageID)
	}
	curl, err := p.curl(s)
	if err != nil {
		return err
	}
	return p.say(`Postyard runs at %s

  dashboard            %s   sign in as %s with the password %s
  account %-12d X-Account-ApiKey:    %s
  sub-account %-8d X-SubAccount-ApiKey: %s   (%s)
  sub-account %-8d X-SubAccount-ApiKey: %s   (%s)

The sandbox plays the providers; its inbox is at %s/sandbox

%s%s
%s

Send another one:

%s
%s
Ctrl-C ends it.
`, s.URL, s.Dashboard.URL, s.Dashboard.Email, s.Dashboard.Password, s.AccountID, s.AccountAPIKey, s.SubAccounts[0].ID, s.SubAccounts[0].APIKey, s.SubAccounts[0].Name,
		s.SubAccounts[1].ID, s.SubAccounts[1].APIKey, s.SubAccounts[1].Name, s.SandboxURL, providers(s), ownIP(s), first, curl, drill(s, variables))
}

// shellVariables are what the commands in the documents use. Nothing in them needs to be quoted.
func shellVariables(s *demo.Scene) string {
	return fmt.Sprintf(`export POSTYARD_URL=%s
export POSTYARD_ACCOUNT_KEY=%s
export POSTYARD_SUBACCOUNT_KEY=%s
export POSTMARK_API=%s
export POSTMARK_TOKEN=%s
export POSTYARD_DASHBOARD_EMAIL=%s
export POSTYARD_DASHBOARD_PASSWORD=%s
`, s.URL, s.AccountAPIKey, s.SubAccounts[0].APIKey, s.SandboxURL, s.SandboxToken, s.Dashboard.Email, s.Dashboard.Password)
}

// providers tells which are connected, and which IP pool leads to each.
func providers(s *demo.Scene) string {
	var b strings.Builder
	for _, t := range s.Providers {
		fmt.Fprintf(&b, "  provider %-3d %-20s reached by the IP pool %s\n", t.ID, t.Name, t.Pool)
	}
	return b.String()
}

// ownIP tells of the operator's own IP, when there is one.
func ownIP(s *demo.Scene) string {
	if s.IP == "" {
		return ""
	}
	return fmt.Sprintf("  IP %-9s                      can be put into IP pools; behind it is the sandbox's mail server\n", s.IP)
}

// drill tells how to see one provider stand in for another.
func drill(s *demo.Scene, variables string) string {
	if s.FallbackPool == "" {
		return ""
	}
	return fmt.Sprintf(`
The pool %[1]s has Postmark first and Amazon SES second. Rehearse an outage of Postmark, and see why a message leaves by SES:

  . %[2]s
  %[3]s drill %[4]d --seconds 60
  %[3]s send --from %[5]s --to bob@gmail.com --field name=Bob --template %[6]s --pool %[1]s
  %[3]s message ID

`, s.FallbackPool, variables, os.Args[0], s.TPSPID, demo.Sender, s.Template)
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
