package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// compareDays is how many days are compared unless they are named.
const compareDays = 30

// compare compares providers.
func (p *program) compare() *cobra.Command {
	now := time.Now().UTC()
	q, byMailbox := client.CompareQuery{}, false
	c := p.command("compare", "Compare providers and IPs: rates with 95 % intervals, times to deliver, failovers", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			answer, raw, err := clientOf(cfg).Compare(c.Context(), q)
			if err != nil {
				return err
			}
			if cfg.JSON {
				return p.printJSON(raw)
			}
			return p.showComparison(&answer, byMailbox)
		})
	c.Flags().StringVar(&q.From, "from", now.AddDate(0, 0, 1-compareDays).Format(time.DateOnly), "the first day (UTC)")
	c.Flags().StringVar(&q.To, "to", now.Format(time.DateOnly), "the last day (UTC)")
	c.Flags().StringVar(&q.Mailbox, "mailbox", "", "only mail to this mailbox provider, such as gmail")
	c.Flags().Int32SliceVar(&q.TPSPIDs, "tpsp", nil, "only these providers: ids")
	c.Flags().Int32SliceVar(&q.IPIDs, "ip", nil, "only these IPs: ids")
	c.Flags().Int32Var(&q.SubAccountID, "sub-account", 0, "only mail of this sub-account")
	c.Flags().StringVar(&q.Group, "group", "", "only mail of this group; times and failovers are not known of one")
	c.Flags().BoolVar(&byMailbox, "by-mailbox", false, "show every mailbox provider on its own")
	return c
}

// showComparison prints what is to be compared below one another: all mail of every egress, or what went to a mailbox provider.
func (p *program) showComparison(answer *client.Comparison, byMailbox bool) error {
	if len(answer.Egresses) == 0 {
		return p.say("Nothing was carried from %s to %s.\n", answer.From, answer.To)
	}
	type line struct {
		of   *client.ComparedEgress
		lane *client.ComparedLane
	}
	var lines []line
	carried := map[string]int64{}
	for i := range answer.Egresses {
		e := &answer.Egresses[i]
		if !byMailbox {
			lines = append(lines, line{e, &e.Total})
			continue
		}
		for k := range e.Mailboxes {
			lines = append(lines, line{e, &e.Mailboxes[k]})
			carried[e.Mailboxes[k].Mailbox] += e.Mailboxes[k].Accepted
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(carried[b.lane.Mailbox], carried[a.lane.Mailbox]), strings.Compare(a.lane.Mailbox, b.lane.Mailbox))
	})
	rows := make([]string, len(lines))
	for i, l := range lines {
		rows[i] = comparedRow(l.of, l.lane)
	}
	return p.table("EGRESS\tNAME\tMAILBOX\tACCEPTED\tDELIVERED %\tHARD %\tSOFT %\tSPAM %\tOPENED %\tCLICKED %\tMEDIAN\t95%\tAWAY\tIN", rows)
}

func comparedRow(e *client.ComparedEgress, l *client.ComparedLane) string {
	egress, mailbox := fmt.Sprint("TPSP_", e.TPSPID), l.Mailbox
	if e.IPID != 0 {
		egress = fmt.Sprint("IP_", e.IPID)
	}
	if mailbox == "" {
		mailbox = "all"
	}
	cells := []string{egress, e.Name, mailbox, fmt.Sprint(l.Accepted)}
	for _, r := range []client.ComparedRate{l.Delivered, l.HardBounced, l.SoftBounced, l.Spam, l.Opened, l.Clicked} {
		cells = append(cells, comparedRate(r))
	}
	median, p95, away, in := "-", "-", "-", "-"
	if l.Delay != nil {
		median, p95 = tookWords(l.Delay.MedianMs), tookWords(l.Delay.P95Ms)
	}
	if l.Failovers != nil {
		away, in = fmt.Sprint(l.Failovers.Away), fmt.Sprint(l.Failovers.In)
	}
	return row(append(cells, median, p95, away, in)...)
}

// comparedRate is a rate in percent with its interval; without one it is the count.
func comparedRate(r client.ComparedRate) string {
	if r.Rate == nil || r.Low == nil || r.High == nil {
		return fmt.Sprintf("(%d)", r.Count)
	}
	return fmt.Sprintf("%.1f (%.1f-%.1f)", *r.Rate*100, *r.Low*100, *r.High*100)
}

// tookWords is a time in a unit that suits it.
func tookWords(ms *int64) string {
	if ms == nil {
		return "-"
	}
	took := time.Duration(*ms) * time.Millisecond
	switch {
	case took >= time.Minute:
		return took.Round(time.Second).String()
	case took >= time.Second:
		return took.Round(100 * time.Millisecond).String()
	default:
		return took.String()
	}
}
