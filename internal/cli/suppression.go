package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// syncSuppressionsFor is how long the command waits: a little longer than the server works on it.
const syncSuppressionsFor = 12 * time.Minute

// suppressionReasons are the API's names of reasons, in the order of their numbers.
var suppressionReasons = []string{"manual", "unsubscribe", "hardBounce", "spamComplaint"}

// suppressions are the commands about addresses that get no mail.
func (p *program) suppressions() *cobra.Command {
	c := &cobra.Command{Use: "suppressions", Short: "List and change the addresses that a sub-account sends nothing to", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, %[1]s add, %[1]s remove, %[1]s import, %[1]s export, or %[1]s sync", c.CommandPath())
		}}
	c.AddCommand(p.listSuppressions(), p.addSuppressions(), p.removeSuppressions(), p.syncSuppressions(), p.importSuppressions(), p.exportSuppressions())
	return c
}

func (p *program) listSuppressions() *cobra.Command {
	var from, to string
	query := client.SuppressionQuery{}
	c := p.command("list", "List suppressed addresses, newest first", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			now := time.Now().UTC()
			query.From, query.To = now.AddDate(0, 0, -60), now
			for _, day := range []struct {
				flag, text string
				at         *time.Time
			}{{"from", from, &query.From}, {"to", to, &query.To}} {
				if day.text == "" {
					continue
				}
				at, err := time.Parse(time.DateOnly, day.text)
				if err != nil {
					return fmt.Errorf("--%s: %q is not a day (YYYY-MM-DD)", day.flag, day.text)
				}
				*day.at = at
			}
			list, err := clientOf(cfg).Suppressions(c.Context(), query)
			if err != nil {
				return err
			}
			return p.showSuppressions(list, cfg.JSON)
		})
	f := c.Flags()
	f.StringVar(&from, "from", "", "first day of creation, YYYY-MM-DD, UTC; 60 days ago unless it is given")
	f.StringVar(&to, "to", "", "last day of creation; today unless it is given")
	f.StringVar(&query.Type, "type", "", "reason: "+strings.Join(suppressionReasons, ", "))
	f.StringVar(&query.Search, "search", "", "a part of the address")
	f.IntVar(&query.Limit, "limit", 50, "most addresses, up to 1000")
	return c
}

func (p *program) addSuppressions() *cobra.Command {
	var reason string
	c := p.command("add ADDRESS...", "Suppress addresses", config.Client, cobra.MinimumNArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			if !slices.Contains(suppressionReasons, reason) {
				return fmt.Errorf("--type: %q is none of %s", reason, strings.Join(suppressionReasons, ", "))
			}
			list, err := clientOf(cfg).Suppress(c.Context(), reason, args...)
			if err != nil {
				return err
			}
			return p.showSuppressions(list, cfg.JSON)
		})
	c.Flags().StringVar(&reason, "type", suppressionReasons[0], "reason: "+strings.Join(suppressionReasons, ", "))
	return c
}

func (p *program) removeSuppressions() *cobra.Command {
	return p.command("remove ADDRESS...", "Reactivate suppressed addresses", config.Client, cobra.MinimumNArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			if err := clientOf(cfg).Reactivate(c.Context(), args...); err != nil {
				return err
			}
			if cfg.JSON {
				return p.printJSON([]byte(`{"reactivated":` + strconv.Itoa(len(args)) + `}`))
			}
			return p.say("mail to %s leaves again, unless a provider refuses to take the address off its list\n", strings.Map(printable, strings.Join(args, ", ")))
		})
}

func (p *program) syncSuppressions() *cobra.Command {
	var tpsp int32
	c := p.command("sync", "Bring suppressions and the lists of providers in step now", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			ctx, cancel := context.WithTimeout(c.Context(), syncSuppressionsFor)
			defer cancel()
			list, err := clientOf(cfg).SyncSuppressions(ctx, tpsp)
			if err != nil {
				return err
			}
			return p.showSyncedSuppressions(list, cfg.JSON)
		})
	c.Flags().Int32Var(&tpsp, "tpsp", 0, "the provider's id; all that have a list unless it is given")
	return c
}

func (p *program) showSuppressions(list []client.Suppression, asJSON bool) error {
	rows := make([]string, len(list))
	for i, s := range list {
		reason := strconv.Itoa(s.Reason)
		if s.Reason >= 0 && s.Reason < len(suppressionReasons) {
			reason = suppressionReasons[s.Reason]
		}
		rows[i] = row(s.Email, reason, moment(s.Created), s.SMTPError)
	}
	return p.show(list, asJSON, "ADDRESS\tREASON\tSINCE\tDETAIL", rows)
}

func (p *program) showSyncedSuppressions(list []client.SyncedSuppressions, asJSON bool) error {
	failed := 0
	rows := make([]string, 0, len(list))
	for _, s := range list {
		result := "done"
		switch {
		case s.Error != "":
			result = "failed: " + s.Error
			failed++
		case s.Doubted > 0:
			result = strconv.Itoa(s.Doubted) + " are gone from the list at once; sync again if that is right"
		}
		rows = append(rows, row(strconv.Itoa(int(s.TPSPID)), s.Name, strconv.Itoa(s.Listed), strconv.Itoa(s.Suppressed), strconv.Itoa(s.Reactivated),
			strconv.Itoa(s.Pushed), strconv.Itoa(s.Local), strconv.Itoa(len(s.Refused)), result))
		for _, r := range s.Refused {
			rows = append(rows, row("", "", "", "", "", "", "", "", "would not "+r.Change+" "+r.Email+": "+r.Message))
		}
	}
	err := p.show(list, asJSON, "ID\tPROVIDER\tLISTED\tSUPPRESSED\tREACTIVATED\tPUSHED\tLOCAL\tREFUSED\tRESULT", rows)
	if err == nil && failed > 0 {
		err = fmt.Errorf("the suppression lists of %d of %d providers could not be brought in step", failed, len(list)) // so that scripts notice
	}
	return err
}
