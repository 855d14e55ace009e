package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

func (p *program) doctor() *cobra.Command {
	var what client.Examination
	c := p.command("doctor", "Look for what keeps mail from flowing, and tell how to repair it", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			list, err := clientOf(cfg).Doctor(c.Context(), what)
			if err != nil {
				return err
			}
			if cfg.JSON {
				if err := p.encode(list); err != nil {
					return err
				}
				return failedChecks(list)
			}
			return p.showChecks(list)
		})
	f := c.Flags()
	f.Int32Var(&what.TPSPID, "tpsp", 0, "the provider's id; all that are in use unless it is given")
	f.StringVar(&what.Template, "template", "", "the alias of a template that mail is to name")
	f.StringVar(&what.IPPool, "ippool", "", "the name of the IP pool that mail is to name; all unless it is given")
	return c
}

// showChecks prints a line for each check, and below what is not ok how to repair it.
func (p *program) showChecks(list []client.Check) error {
	width := 0
	for _, c := range list {
		width = max(width, len(c.Check))
	}
	for _, c := range list {
		about := ""
		switch {
		case c.TPSPID != 0:
			about = fmt.Sprintf("%s (%d): ", c.TPSP, c.TPSPID)
		case c.TPSP != "": // an IP
			about = c.TPSP + ": "
		}
		if err := p.say("%-4s  %-*s  %s\n", row(c.Status), width, row(c.Check), row(about+c.Message)); err != nil {
			return err
		}
		if c.Fix == "" {
			continue
		}
		if err := p.say("%s  fix: %s\n", strings.Repeat(" ", len("warn")+2+width), row(c.Fix)); err != nil {
			return err
		}
	}
	return failedChecks(list)
}

// failedChecks is an error when something is broken, so that scripts notice.
func failedChecks(list []client.Check) error {
	failed := int64(0)
	for _, c := range list {
		if c.Status == "fail" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s failed", several(failed, "check"))
	}
	return nil
}
