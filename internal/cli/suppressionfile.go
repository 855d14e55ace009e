package cli

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

func (p *program) importSuppressions() *cobra.Command {
	var reason string
	var dryRun bool
	c := p.command("import FILE", "Suppress the addresses of a CSV file; - is standard input", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			var file io.Reader = os.Stdin
			if args[0] != "-" {
				opened, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("open file: %w", err)
				}
				defer func() { _ = opened.Close() }()
				file = opened
			}
			done, err := clientOf(cfg).ImportSuppressions(c.Context(), file, reason, dryRun)
			if err != nil {
				return err
			}
			return p.showImported(&done, cfg.JSON)
		})
	c.Flags().StringVar(&reason, "type", "", "reason of lines without one: "+strings.Join(suppressionReasons, ", ")+"; manual unless it is given")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only check the file")
	return c
}

// showImported tells what came of a file. Lines that were left out make it an error, so that scripts notice.
func (p *program) showImported(done *client.ImportedSuppressions, asJSON bool) error {
	rows := make([]string, len(done.Refused))
	for i, r := range done.Refused {
		rows[i] = row(strconv.Itoa(r.Line), r.Message)
	}
	switch {
	case asJSON:
		if err := p.show(done, true, "", nil); err != nil {
			return err
		}
	case len(rows) > 0:
		if err := p.table("LINE\tLEFT OUT BECAUSE", rows); err != nil {
			return err
		}
	}
	if !asJSON {
		words := strconv.Itoa(done.Suppressed) + " suppressed"
		if done.DryRun {
			words = "nothing was suppressed: this was a dry run"
		}
		if err := p.say("%d addresses were read; %s\n", done.Read, words); err != nil {
			return err
		}
	}
	if done.RefusedCount > 0 {
		return fmt.Errorf("%d lines could not be read", done.RefusedCount)
	}
	return nil
}

func (p *program) exportSuppressions() *cobra.Command {
	q := map[string]*string{}
	var output string
	c := p.command("export", "Write suppressed addresses to a CSV file, newest first", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			values := url.Values{}
			for name, value := range q {
				if *value != "" {
					values.Set(name, *value)
				}
			}
			return p.output(output, func(w io.Writer) error { return clientOf(cfg).ExportSuppressions(c.Context(), values, w) })
		})
	f := c.Flags()
	q["from"] = f.String("from", "", "first day of creation, YYYY-MM-DD, UTC")
	q["to"] = f.String("to", "", "last day of creation")
	q["type"] = f.String("type", "", "reason: "+strings.Join(suppressionReasons, ", "))
	q["search"] = f.String("search", "", "a part of the address")
	outputFlag(f, &output)
	return c
}
