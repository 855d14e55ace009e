package cli

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

func (p *program) drill() *cobra.Command {
	var seconds int
	var end bool
	c := p.command("drill PROVIDER", "Rehearse an outage of a provider, given by its name or id", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			if !end && seconds < 1 {
				return fmt.Errorf("--seconds is a whole number from 1; --end ends a drill")
			}
			api := clientOf(cfg)
			list, err := api.TPSPs(c.Context())
			if err != nil {
				return err
			}
			named, err := pick("provider", args[0], list, func(t *client.TPSP) (int32, string) { return t.ID, t.Name })
			if err != nil {
				return err
			}
			if end {
				seconds = 0
			}
			var raw json.RawMessage
			if err := api.Drill(c.Context(), named.ID, seconds, &raw); err != nil {
				return err
			}
			if cfg.JSON {
				return p.printJSON(raw)
			}
			var t client.TPSP
			if err := json.Unmarshal(raw, &t); err != nil {
				return fmt.Errorf("decode provider: %w", err)
			}
			until := ""
			if t.Health.State == "drill" && t.Health.ProbeAt > 0 {
				until = moment(t.Health.ProbeAt)
			}
			return p.table("ID\tPROVIDER\tSTATE\tUNTIL\tREASON",
				[]string{row(strconv.Itoa(int(t.ID)), t.Name, t.Health.State, until, t.Health.Reason)})
		})
	f := c.Flags()
	f.IntVar(&seconds, "seconds", 60, "how long it lasts, a day at most")
	f.BoolVar(&end, "end", false, "end a drill")
	c.MarkFlagsMutuallyExclusive("seconds", "end")
	return c
}

// encode prints a value for programs.
func (p *program) encode(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return p.printJSON(raw)
}

// pick finds what a user means: by its name or, when nothing has that name, by its id.
func pick[T any](kind, given string, list []T, of func(*T) (int32, string)) (*T, error) {
	var found []*T
	for i := range list {
		if _, name := of(&list[i]); name == given {
			found = append(found, &list[i])
		}
	}
	for i := range list {
		if id, _ := of(&list[i]); len(found) == 0 && strconv.Itoa(int(id)) == given {
			found = append(found, &list[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no %s named %q, nor with that id", kind, given)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%d %ss are named %q; give an id", len(found), kind, given)
}
