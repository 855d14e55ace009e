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

// domains are the commands about the domains that a sub-account has whitelisted.
func (p *program) domains() *cobra.Command {
	c := &cobra.Command{Use: "domains", Short: "Whitelist sender domains, and look for their DNS records", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, %[1]s add, %[1]s show, %[1]s verify, or %[1]s delete", c.CommandPath())
		}}
	c.AddCommand(p.listDomains(), p.addDomain(),
		p.oneDomain("show", "Show the DNS records that a domain is to have, and what is known of them", (*client.Client).Domain, false),
		p.oneDomain("verify", "Look for the DNS records of a domain now", (*client.Client).VerifyDomain, true), p.deleteDomain())
	return c
}

func (p *program) listDomains() *cobra.Command {
	var search string
	c := p.command("list", "List whitelisted domains, and which of their records stand in DNS", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			list, err := clientOf(cfg).Domains(c.Context(), search)
			if err != nil {
				return err
			}
			rows := make([]string, len(list))
			for i, d := range list {
				rows[i] = row(strconv.Itoa(int(d.ID)), d.Name, yes(d.DKIMVerified), yes(d.SPFVerified), yes(d.ReturnPathVerified), yes(d.TrackVerified),
					yes(d.DMARCVerified), moment(d.Created))
			}
			return p.show(list, cfg.JSON, "ID\tDOMAIN\tDKIM\tSPF\tRETURN PATH\tTRACKING\tDMARC\tCREATED", rows)
		})
	c.Flags().StringVar(&search, "search", "", "a part of the name")
	return c
}

func yes(verified bool) string {
	if verified {
		return "verified"
	}
	return "no"
}

func (p *program) addDomain() *cobra.Command {
	return p.command("add DOMAIN", "Whitelist a domain, and show the DNS records that it is to have", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			d, err := clientOf(cfg).AddDomain(c.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showDomain(d, cfg.JSON)
		})
}

// oneDomain is a command that shows one domain, as act returns it. A strict one fails when the domain is not verified.
func (p *program) oneDomain(name, short string, act func(*client.Client, context.Context, int32) (*client.Domain, error), strict bool) *cobra.Command {
	return p.command(name+" DOMAIN", short, config.Client, cobra.ExactArgs(1), func(c *cobra.Command, args []string, cfg config.Config) error {
		api := clientOf(cfg)
		id, err := domainID(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		d, err := act(api, c.Context(), id)
		if err != nil {
			return err
		}
		if err := p.showDomain(d, cfg.JSON); err != nil {
			return err
		}
		if strict && !d.Verified { // so that scripts notice
			return fmt.Errorf("%s is not verified: %s", d.Name, strings.Map(printable, d.DKIMFailureReason))
		}
		return nil
	})
}

func (p *program) deleteDomain() *cobra.Command {
	return p.command("delete DOMAIN", "Take a domain out of use; its key is forgotten", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			api := clientOf(cfg)
			id, err := domainID(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			message, err := api.DeleteDomain(c.Context(), id)
			if err != nil {
				return err
			}
			return p.show(map[string]any{"id": id, "message": message}, cfg.JSON, message, nil)
		})
}

// domainID finds a domain by its name or its id.
func domainID(ctx context.Context, api *client.Client, named string) (int32, error) {
	if id, err := strconv.ParseInt(named, 10, 32); err == nil {
		return int32(id), nil
	}
	list, err := api.Domains(ctx, "")
	if err != nil {
		return 0, err
	}
	for _, d := range list {
		if strings.EqualFold(d.Name, strings.TrimSuffix(named, ".")) {
			return d.ID, nil
		}
	}
	return 0, fmt.Errorf("the sub-account has no domain %q", named)
}

// showDomain prints the records one below the other: a key is too long for a table.
func (p *program) showDomain(d *client.Domain, asJSON bool) error {
	lines := []string{}
	add := func(name string, r client.DNSRecord, verified bool, reason string) {
		state := "not verified"
		if verified {
			state = "verified"
		}
		if reason != "" {
			state += ": " + reason
		}
		lines = append(lines, row(name+": "+state))
		if r.Value != "" {
			lines = append(lines, row("  "+r.Host+"  "+r.Type+"  "+r.Value))
		}
	}
	add("DKIM", d.DKIM, d.DKIMVerified, d.DKIMFailureReason)
	add("SPF", d.SPF, d.SPFVerified, "")
	add("return path", d.ReturnPath, d.ReturnPathVerified, d.ReturnPathFailureReason)
	add("tracking", d.Track, d.TrackVerified, d.TrackFailureReason)
	add("DMARC", d.DMARC, d.DMARCVerified, d.DMARCFailureReason)
	return p.show(d, asJSON, row(fmt.Sprintf("%s (%d)", d.Name, d.ID)), lines)
}
