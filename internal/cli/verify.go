package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

func (p *program) verify() *cobra.Command {
	var awaiting time.Duration
	c := p.command("verify", "Recompute states and counters from attempts and events, and name what differs", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			var raw json.RawMessage
			if err := clientOf(cfg).Unhurried().Account(c.Context(), http.MethodGet, client.VerifyPath(awaiting), nil, &raw); err != nil {
				return err
			}
			var v client.Verification
			if err := json.Unmarshal(raw, &v); err != nil {
				return fmt.Errorf("decode verification: %w", err)
			}
			show := p.showVerification
			if cfg.JSON {
				show = func(client.Verification, time.Duration) error { return p.printJSON(raw) }
			}
			if err := show(v, awaiting); err != nil {
				return err
			}
			if !v.OK { // so that scripts notice
				return fmt.Errorf("the books differ in %s", several(v.DifferenceCount, "place"))
			}
			return nil
		})
	c.Flags().DurationVar(&awaiting, "awaiting", 24*time.Hour, "list messages that were sent and have had no report for longer")
	return c
}

// several is a number of things, in words.
func several(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// states in the order in which they are shown. A message is in one of those without a mark, and a pending one in one of the
// three below.
var states = []struct{ name, shown string }{
	{"pending", "pending"}, {"queued", "  queued"}, {"sending", "  sending"}, {"unknown", "  unknown"},
	{"sent", "sent"}, {"delivered", "delivered"}, {"bounced", "bounced"}, {"dropped", "dropped"}, {"total", "all"},
}

func (p *program) showVerification(v client.Verification, awaiting time.Duration) error {
	rows := make([]string, len(states))
	for i, s := range states {
		rows[i] = row(s.shown, strconv.FormatInt(v.Messages[s.name], 10))
	}
	if err := p.table("STATE\tMESSAGES", rows); err != nil {
		return err
	}
	if err := p.say("\nChecked %s, %s, %s and the counters of %s in %s.\n", several(v.Messages["total"], "message"), several(v.Attempts, "attempt"),
		several(v.Events, "event"), several(v.Days, "day"), time.Duration(v.TookMs)*time.Millisecond); err != nil {
		return err
	}
	if v.OK {
		if err := p.say("The books balance.\n"); err != nil {
			return err
		}
	}
	if err := p.showDifferences(&v); err != nil {
		return err
	}
	return p.showAwaiting(&v, awaiting)
}

func (p *program) showDifferences(v *client.Verification) error {
	if len(v.Differences) == 0 {
		return nil
	}
	rows := make([]string, len(v.Differences))
	for i, d := range v.Differences {
		of := d.MessageID + d.Day
		if c := d.Counter; c != nil {
			of += fmt.Sprintf(" sub-account %d %s %s %d %s", c.SubAccountID, c.Egress, c.Mailbox, c.Type, c.Name)
			if c.Copy {
				of += " of copies"
			}
		}
		if f := d.Facet; f != nil {
			of += fmt.Sprintf(" %s %q", f.Dimension, f.Value)
			if d.Counter == nil {
				of += fmt.Sprintf(" of sub-account %d", f.SubAccountID)
			}
		}
		rows[i] = row(d.Kind, of, d.Stored, d.Recomputed)
	}
	if err := p.say("\n"); err != nil {
		return err
	}
	if err := p.table("DIFFERENCE\tOF\tSTORED\tRECOMPUTED", rows); err != nil {
		return err
	}
	return p.more(v.DifferenceCount - int64(len(v.Differences)))
}

func (p *program) showAwaiting(v *client.Verification, awaiting time.Duration) error {
	if v.AwaitingCount == 0 {
		return nil
	}
	if err := p.say("\nSent, and without a report for more than %s: %s.\n\n", awaiting, several(v.AwaitingCount, "message")); err != nil {
		return err
	}
	rows := make([]string, len(v.Awaiting))
	for i, a := range v.Awaiting {
		rows[i] = row(a.MessageID, moment(a.Since), a.Egress, a.ProviderMessageID)
	}
	if err := p.table("MESSAGE\tSINCE\tPROVIDER\tITS ID THERE", rows); err != nil {
		return err
	}
	return p.more(v.AwaitingCount - int64(len(v.Awaiting)))
}

// more tells of what is not listed.
func (p *program) more(n int64) error {
	if n <= 0 {
		return nil
	}
	return p.say("... and %d more\n", n)
}
