package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// statsDays is how many days are shown unless they are named.
const statsDays = 7

// stats shows statistics.
func (p *program) stats() *cobra.Command {
	now := time.Now().UTC()
	q := client.StatsQuery{}
	c := p.command("stats", "Show what became of the mail, by day, provider, mailbox provider, sub-account, ...", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			var raw json.RawMessage
			if err := clientOf(cfg).Stats(c.Context(), q, &raw); err != nil {
				return err
			}
			if cfg.JSON {
				return p.printJSON(raw)
			}
			return p.showStats(raw)
		})
	c.Flags().Int32Var(&q.TPSPID, "tpsp", 0, "the provider's id; all of the account's unless it is given")
	c.Flags().StringVar(&q.By, "by", "day", "what they are by: "+strings.Join(client.StatsBy, ", "))
	c.Flags().StringVar(&q.From, "from", now.AddDate(0, 0, 1-statsDays).Format(time.DateOnly), "the first day (UTC)")
	c.Flags().StringVar(&q.To, "to", now.Format(time.DateOnly), "the last day (UTC)")
	c.Flags().StringVar(&q.Provider, "mailbox", "", "only mail to this mailbox provider, such as gmail")
	return c
}

// column is a key of the answer as it is shown.
type column struct{ key, title string }

// statColumns are those that are shown when an answer has them, in this order.
var statColumns = []column{
	{"date", "DAY"}, {"tpspId", "ID"}, {"ipid", "ID"}, {"publicIP", "IP"}, {"sid", "ID"}, {"id", "ID"}, {"name", "NAME"}, {"provider", "MAILBOX"}, {"group", "GROUP"}, {"reason", "REASON"},
	{"device", "DEVICE"}, {"client", "PROGRAM"}, {"os", "SYSTEM"}, {"country", "COUNTRY"}, {"upToSeconds", "SECONDS"},
	{"processed", "PROCESSED"}, {"sent", "SENT"}, {"delivered", "DELIVERED"}, {"dropped", "DROPPED"}, {"hardBounced", "HARD"}, {"softBounced", "SOFT"},
	{"opened", "OPENED"}, {"uniqueOpened", "OPENERS"}, {"clicked", "CLICKED"}, {"uniqueClicked", "CLICKERS"}, {"unsubscribed", "UNSUBSCRIBED"},
	{"spam", "SPAM"}, {"spams", "SPAM"}, {"meanMs", "MEAN-MS"}, {"medianMs", "MEDIAN-MS"}, {"p95Ms", "95%-MS"},
}

// showStats prints an answer as a table: one row for an object, one for each entry of a list.
func (p *program) showStats(raw json.RawMessage) error {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	var list []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&list); err != nil {
		return fmt.Errorf("decode statistics: %w", err)
	}
	if len(list) == 0 {
		return p.say("Nothing was counted on these days.\n")
	}
	for _, of := range list {
		if stat, ok := of["stat"].(map[string]any); ok { // of a day
			for k, v := range stat {
				of[k] = v
			}
		}
	}
	if err := p.statTable(list); err != nil {
		return err
	}
	spans, _ := list[0]["spans"].([]any)
	if len(spans) == 0 {
		return nil
	}
	list = nil
	for _, span := range spans {
		if of, ok := span.(map[string]any); ok {
			list = append(list, of)
		}
	}
	if err := p.say("\n"); err != nil {
		return err
	}
	return p.statTable(list)
}

func (p *program) statTable(list []map[string]any) error {
	var titles []string
	rows := make([][]string, len(list))
	for _, c := range statColumns {
		if _, has := list[0][c.key]; !has {
			continue
		}
		titles = append(titles, c.title)
		for i, of := range list {
			rows[i] = append(rows[i], statCell(c.key, of[c.key]))
		}
	}
	lines := make([]string, len(rows))
	for i, cells := range rows {
		lines[i] = row(cells...)
	}
	return p.table(strings.Join(titles, "\t"), lines)
}

func statCell(key string, value any) string {
	text := fmt.Sprint(value)
	if n, err := strconv.ParseInt(text, 10, 64); key == "upToSeconds" && err == nil && n == 0 {
		return "more"
	}
	return text
}
