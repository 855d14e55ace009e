package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// labels are the commands about what an account tells its sub-accounts apart by.
func (p *program) labels() *cobra.Command {
	c := &cobra.Command{Use: "labels", Short: "List, make and delete labels, and give them to sub-accounts", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, %[1]s add, %[1]s delete, or %[1]s set", c.CommandPath())
		}}
	list := p.command("list", "List labels", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		list, err := clientOf(cfg).Labels(c.Context())
		if err != nil {
			return err
		}
		return p.showLabels(list, cfg.JSON)
	})
	var color string
	add := p.command("add NAME", "Make a label", config.Client, cobra.ExactArgs(1), func(c *cobra.Command, args []string, cfg config.Config) error {
		made, err := clientOf(cfg).CreateLabel(c.Context(), args[0], color)
		if err != nil {
			return err
		}
		return p.showLabels([]client.Label{made}, cfg.JSON)
	})
	add.Flags().StringVar(&color, "color", "", "its color, such as #1f77b4")
	remove := p.command("delete ID", "Delete a label", config.Client, cobra.ExactArgs(1), func(c *cobra.Command, args []string, cfg config.Config) error {
		id, err := idArgument(args[0])
		if err != nil {
			return err
		}
		if err := clientOf(cfg).DeleteLabel(c.Context(), id); err != nil {
			return err
		}
		if cfg.JSON {
			return p.printJSON([]byte(`{"deleted":` + strconv.Itoa(int(id)) + `}`))
		}
		return p.say("the label is deleted\n")
	})
	set := p.command("set SUB-ACCOUNT [LABEL...]", "Give a sub-account, by its id, exactly these labels", config.Client, cobra.MinimumNArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			id, err := idArgument(args[0])
			if err != nil {
				return err
			}
			if err := clientOf(cfg).LabelSubAccount(c.Context(), id, args[1:]); err != nil {
				return err
			}
			if cfg.JSON {
				return p.show(map[string]any{"id": id, "labels": args[1:]}, true, "", nil)
			}
			if len(args) == 1 {
				return p.say("sub-account %d has no labels\n", id)
			}
			return p.say("sub-account %d has the labels %s\n", id, strings.Map(printable, strings.Join(args[1:], ", ")))
		})
	c.AddCommand(list, add, remove, set)
	return c
}

func (p *program) showLabels(list []client.Label, asJSON bool) error {
	rows := make([]string, len(list))
	for i, l := range list {
		rows[i] = row(strconv.Itoa(int(l.ID)), l.Name, l.Color, moment(l.Created))
	}
	return p.show(list, asJSON, "ID\tLABEL\tCOLOR\tCREATED", rows)
}

func idArgument(text string) (int32, error) {
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("%q is not an id", text)
	}
	return int32(id), nil
}
