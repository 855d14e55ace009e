package cli

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// audit lists who changed what.
func (p *program) audit() *cobra.Command {
	q, limit := map[string]*string{}, 0
	c := p.command("audit", "List who changed what, the newest first", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		values := url.Values{"limit": {strconv.Itoa(limit)}}
		for name, value := range q {
			if *value != "" {
				values.Set(name, *value)
			}
		}
		list, err := clientOf(cfg).Audit(c.Context(), values)
		if err != nil {
			return err
		}
		rows := make([]string, len(list))
		for i := range list {
			rows[i] = auditRow(&list[i])
		}
		return p.show(list, cfg.JSON, "ID\tAT\tWHO\tFROM\tOPERATION\tWHAT\tSTATUS\tCHANGES", rows)
	})
	c.Flags().IntVar(&limit, "limit", 50, "the most entries, at most 1000")
	for _, f := range [][2]string{{"actor", "member, account-key, sub-account-key or system, with an id behind a colon; or part of the actor's name"},
		{"operation", "part of the operation"}, {"search", "part of the operation, the target, the path, the actor's name or the address"},
		{"from", "first day (YYYY-MM-DD, UTC) or instant (RFC 3339)"}, {"to", "last day or instant"}, {"before", "only entries with lower ids"}} {
		q[f[0]] = c.Flags().String(f[0], "", f[1])
	}
	return c
}

func auditRow(e *client.AuditEntry) string {
	who, status := e.Actor.Kind, "begun"
	if e.Actor.Name != "" {
		who += " " + e.Actor.Name
	}
	if e.Role != "" {
		who += " (" + e.Role + ")"
	}
	if e.Status != 0 {
		status = strconv.Itoa(e.Status)
	}
	return row(strconv.FormatInt(e.ID, 10), moment(e.At), who, e.Address, e.Operation, e.Target, status, string(e.Changes))
}
