package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

func (p *program) pause() *cobra.Command {
	return p.brake("pause", "Let the mail of an IP pool or a sub-account wait", true)
}

func (p *program) resume() *cobra.Command {
	return p.brake("resume", "Let the mail of an IP pool or a sub-account go on", false)
}

// braked is what was paused or resumed.
type braked struct {
	Kind   string `json:"kind"` // ippool, sub-account
	ID     int32  `json:"id"`
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

func (p *program) brake(use, short string, paused bool) *cobra.Command {
	var pool, sub string
	c := p.command(use, short, config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		api, done := clientOf(cfg), braked{Kind: "ippool", Paused: paused}
		if c.Flags().Changed("ippool") {
			named, err := poolOf(c.Context(), api, pool)
			if err != nil {
				return err
			}
			if err := api.PausePool(c.Context(), named.ID, paused); err != nil {
				return err
			}
			done.ID, done.Name = named.ID, named.Name
		} else {
			named, err := subAccountOf(c.Context(), api, sub)
			if err != nil {
				return err
			}
			if err := api.PauseSubAccount(c.Context(), named.ID, paused); err != nil {
				return err
			}
			done.Kind, done.ID, done.Name = "sub-account", named.ID, named.Name
		}
		if cfg.JSON {
			return p.encode(done)
		}
		state := "resumed"
		if paused {
			state = "paused"
		}
		return p.table("ID\tKIND\tNAME\tSTATE", []string{row(strconv.Itoa(int(done.ID)), done.Kind, done.Name, state)})
	})
	f := c.Flags()
	f.StringVar(&pool, "ippool", "", "the IP pool's name or id")
	f.StringVar(&sub, "sub-account", "", "the sub-account's name or id")
	c.MarkFlagsMutuallyExclusive("ippool", "sub-account")
	c.MarkFlagsOneRequired("ippool", "sub-account")
	return c
}

func poolOf(ctx context.Context, api *client.Client, given string) (*client.Pool, error) {
	list, err := api.Pools(ctx)
	if err != nil {
		return nil, err
	}
	return pick("IP pool", given, list, func(p *client.Pool) (int32, string) { return p.ID, p.Name })
}

func subAccountOf(ctx context.Context, api *client.Client, given string) (*client.SubAccountInfo, error) {
	list, err := api.SubAccounts(ctx)
	if err != nil {
		return nil, err
	}
	return pick("sub-account", given, list, func(s *client.SubAccountInfo) (int32, string) { return s.ID, s.Name })
}

func (p *program) cancel() *cobra.Command {
	var what client.Cancel
	var pool, sub string
	c := p.command("cancel", "Cancel messages that wait, by group, IP pool or sub-account", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			// An option that is there but empty is a script's slip: it must not select more than was meant.
			for _, name := range []string{"group", "ippool", "sub-account"} {
				if f := c.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
					return fmt.Errorf("--%s is empty", name)
				}
			}
			api := clientOf(cfg)
			if pool != "" {
				named, err := poolOf(c.Context(), api, pool)
				if err != nil {
					return err
				}
				what.IPPool = named.Name
			}
			if sub != "" {
				named, err := subAccountOf(c.Context(), api, sub)
				if err != nil {
					return err
				}
				what.SubAccountID = named.ID
			}
			done, err := api.Cancel(c.Context(), what)
			if err != nil {
				if done.Cancelled > 0 {
					err = fmt.Errorf("%s cancelled, then: %w", several(done.Cancelled, "message"), err)
				}
				return err
			}
			if cfg.JSON {
				return p.encode(map[string]any{"dryRun": done.DryRun, "matched": done.Matched, "cancelled": done.Cancelled})
			}
			if done.DryRun {
				return p.say("%s would be cancelled.\n", several(done.Matched, "message"))
			}
			return p.say("%s cancelled.\n", several(done.Cancelled, "message"))
		})
	f := c.Flags()
	f.StringVar(&what.Group, "group", "", "messages of this group")
	f.StringVar(&pool, "ippool", "", "messages to this IP pool, by name or id")
	f.StringVar(&sub, "sub-account", "", "messages of this sub-account, by name or id")
	f.BoolVar(&what.DryRun, "dry-run", false, "only count them")
	c.MarkFlagsOneRequired("group", "ippool", "sub-account")
	return c
}
