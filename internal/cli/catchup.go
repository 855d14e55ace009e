package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// catchUpFor is how long the command waits: a little longer than the server works on it.
const catchUpFor = 32 * time.Minute

func (p *program) catchUp() *cobra.Command {
	var since string
	var tpsp int32
	c := p.command("catch-up", "Read back from providers what their webhooks did not bring", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			ctx, cancel := context.WithTimeout(c.Context(), catchUpFor)
			defer cancel()
			list, err := clientOf(cfg).CatchUp(ctx, client.CatchUp{Since: since, TPSPID: tpsp})
			if err != nil {
				return err
			}
			if cfg.JSON {
				raw, err := json.Marshal(list)
				if err != nil {
					return fmt.Errorf("encode answer: %w", err)
				}
				if err := p.printJSON(raw); err != nil {
					return err
				}
				return failures(list)
			}
			return p.showCaughtUp(list)
		})
	f := c.Flags()
	f.StringVar(&since, "since", "24h", "since when: an instant (RFC 3339), or how long ago")
	f.Int32Var(&tpsp, "tpsp", 0, "the provider's id; all that are in use unless it is given")
	return c
}

func (p *program) showCaughtUp(list []client.CaughtUp) error {
	rows := make([]string, len(list))
	for i, c := range list {
		result := "done"
		switch {
		case c.Error != "":
			result = "failed: " + c.Error
		case len(c.Missing) > 0:
			result = "done; not read: " + strings.Join(c.Missing, "; ")
		}
		rows[i] = row(strconv.Itoa(int(c.TPSPID)), c.Name, moment(c.Since), strconv.FormatInt(c.MessagesAsked, 10), strconv.FormatInt(c.Recorded, 10),
			strconv.FormatInt(c.Duplicates, 10), result)
	}
	if err := p.table("ID\tPROVIDER\tSINCE\tASKED\tNEW\tKNOWN\tRESULT", rows); err != nil {
		return err
	}
	return failures(list)
}

// failures is an error when providers could not be asked, so that scripts notice.
func failures(list []client.CaughtUp) error {
	failed := 0
	for _, c := range list {
		if c.Error != "" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d providers could not be caught up with", failed, len(list))
	}
	return nil
}
