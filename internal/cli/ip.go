package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// ips are the commands about the operator's own IPs.
func (p *program) ips() *cobra.Command {
	c := &cobra.Command{Use: "ips", Short: "List, allocate and give back the account's own IPs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, %[1]s allocate, or %[1]s delete", c.CommandPath())
		}}
	list := p.command("list", "List the account's IPs", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error { return p.showIPs(c.Context(), cfg) })
	allocate := p.command("allocate ADDRESS...", "Give addresses of the server's configuration to the account", config.Client, cobra.MinimumNArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			if err := clientOf(cfg).AllocateIPs(c.Context(), args); err != nil {
				return err
			}
			return p.showIPs(c.Context(), cfg)
		})
	var force bool
	remove := p.command("delete IP", "Give an IP back, named by its address or id", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			api := clientOf(cfg)
			list, err := api.IPs(c.Context())
			if err != nil {
				return err
			}
			named, err := pick("IP", args[0], list, func(i *client.IP) (int32, string) { return i.ID, i.PublicIP })
			if err != nil {
				return err
			}
			if err := api.DeleteIP(c.Context(), named.ID, force); err != nil {
				return err
			}
			if cfg.JSON {
				return p.encode(named)
			}
			return p.say("IP %s was given back.\n", named.PublicIP)
		})
	remove.Flags().BoolVar(&force, "force", false, "although messages wait for it, or IP pools have nothing else")
	c.AddCommand(list, allocate, remove)
	return c
}

// showIPs prints the account's IPs with their settings.
func (p *program) showIPs(ctx context.Context, cfg config.Config) error {
	api := clientOf(cfg)
	list, err := api.IPs(ctx)
	if err != nil {
		return err
	}
	settings, rows := make([]client.IPSettings, len(list)), make([]string, len(list))
	for i := range list {
		if settings[i], err = api.IPSettings(ctx, list[i].ID); err != nil {
			return err
		}
		s := &settings[i]
		limit := "none"
		if s.RatePerHour > 0 {
			limit = strconv.Itoa(s.RatePerHour) + "/h"
		}
		rows[i] = row(strconv.Itoa(int(s.ID)), s.PublicIP, strings.TrimSuffix(s.Health.State+": "+s.Health.Reason, ": "), limit, strconv.Itoa(s.Usage.Total))
	}
	return p.show(settings, cfg.JSON, "ID\tIP\tSTATE\tLIMIT\tPAST HOUR", rows)
}
