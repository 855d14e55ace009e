package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// syncTemplatesFor is how long the command waits: a little longer than the server works on it.
const syncTemplatesFor = 17 * time.Minute

// templates are the commands about the mirror of providers' templates.
func (p *program) templates() *cobra.Command {
	c := &cobra.Command{Use: "templates", Short: "List and read the templates of providers, which leave through other providers, too", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, or %[1]s sync", c.CommandPath())
		}}
	var tpsp int32
	sync := p.command("sync", "Read the templates of providers now", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			ctx, cancel := context.WithTimeout(c.Context(), syncTemplatesFor)
			defer cancel()
			list, err := clientOf(cfg).SyncTemplates(ctx, tpsp)
			if err != nil {
				return err
			}
			return p.showSynced(list, cfg.JSON)
		})
	sync.Flags().Int32Var(&tpsp, "tpsp", 0, "the provider's id; all that have templates unless it is given")
	list := p.command("list", "List the mirrored templates", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			list, err := clientOf(cfg).Templates(c.Context())
			if err != nil {
				return err
			}
			return p.showTemplates(list, cfg.JSON)
		})
	c.AddCommand(sync, list)
	return c
}

func (p *program) showSynced(list []client.SyncedTemplates, asJSON bool) error {
	failed := 0
	rows := make([]string, len(list))
	for i, s := range list {
		result := "done"
		if s.Error != "" {
			result = "failed: " + s.Error
			failed++
		}
		rows[i] = row(strconv.Itoa(int(s.TPSPID)), s.Name, strconv.Itoa(s.Templates), strconv.Itoa(s.Added), strconv.Itoa(s.Changed),
			strconv.Itoa(s.Removed), strconv.Itoa(s.Unusable), result)
	}
	err := p.show(list, asJSON, "ID\tPROVIDER\tTEMPLATES\tADDED\tCHANGED\tREMOVED\tUNUSABLE\tRESULT", rows)
	if err == nil && failed > 0 {
		err = fmt.Errorf("the templates of %d of %d providers could not be read", failed, len(list)) // so that scripts notice
	}
	return err
}

func (p *program) showTemplates(list []client.Template, asJSON bool) error {
	rows := make([]string, len(list))
	for i, t := range list {
		state := "usable"
		switch {
		case t.Type == "layout":
			state = "layout"
		case t.Error != "":
			state = t.Error
		}
		rows[i] = row(t.Alias, t.Name, strconv.Itoa(int(t.TPSPID)), t.TPSPName, t.Layout, moment(t.ChangedAt), moment(t.SyncedAt), state)
	}
	return p.show(list, asJSON, "ALIAS\tNAME\tID\tPROVIDER\tLAYOUT\tCHANGED\tREAD\tSTATE", rows)
}

// show prints a list as JSON or as a table.
func (p *program) show(list any, asJSON bool, header string, rows []string) error {
	if !asJSON {
		return p.table(header, rows)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return p.printJSON(raw)
}
