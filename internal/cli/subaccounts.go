package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// noParent is what stands for no sub-account in `subaccounts move`.
const noParent = "none"

// subAccounts are the commands about how sub-accounts stand under each other.
func (p *program) subAccounts() *cobra.Command {
	c := &cobra.Command{Use: "subaccounts", Short: "Show sub-accounts as a tree; move, limit and block them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s tree, %[1]s move, %[1]s limit, %[1]s block, or %[1]s unblock", c.CommandPath())
		}}
	days := 7
	tree := p.command("tree", "Show the sub-accounts under each other, with limits and statistics", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			if cfg.JSON {
				var raw json.RawMessage
				if err := clientOf(cfg).SubAccountTree(c.Context(), days, &raw); err != nil {
					return err
				}
				return p.printJSON(raw)
			}
			var tree client.Tree
			if err := clientOf(cfg).SubAccountTree(c.Context(), days, &tree); err != nil {
				return err
			}
			return p.showTree(tree)
		})
	tree.Flags().IntVar(&days, "days", days, "how many days are counted, today included")
	move := p.placed("move SUB-ACCOUNT PARENT", "Put a sub-account under another one, or under `"+noParent+"`", 2,
		func(ctx context.Context, api *client.Client, id int32, args []string) (client.Place, error) {
			if args[1] == noParent {
				return api.MoveSubAccount(ctx, id, nil)
			}
			parent, err := subAccountOf(ctx, api, args[1])
			if err != nil {
				return client.Place{}, err
			}
			return api.MoveSubAccount(ctx, id, &parent.ID)
		})
	limit := p.placed("limit SUB-ACCOUNT MESSAGES", "Set how many messages it and all under it may send an hour; 0 for no limit", 2,
		func(ctx context.Context, api *client.Client, id int32, args []string) (client.Place, error) {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return client.Place{}, fmt.Errorf("%q is no number of messages", args[1])
			}
			return api.LimitSubAccount(ctx, id, n)
		})
	var reason string
	block := p.placed("block SUB-ACCOUNT", "Send nothing for a sub-account, nor for those under it", 1,
		func(ctx context.Context, api *client.Client, id int32, _ []string) (client.Place, error) {
			return api.BlockSubAccount(ctx, id, reason)
		})
	block.Flags().StringVar(&reason, "reason", "", "why, for people")
	unblock := p.placed("unblock SUB-ACCOUNT", "Send for it again", 1, func(ctx context.Context, api *client.Client, id int32, _ []string) (client.Place, error) {
		return api.UnblockSubAccount(ctx, id)
	})
	c.AddCommand(tree, move, limit, block, unblock)
	return c
}

// placed is a command that changes the sub-account that its first argument names.
func (p *program) placed(use, short string, args int, change func(context.Context, *client.Client, int32, []string) (client.Place, error)) *cobra.Command {
	return p.command(use, short, config.Client, cobra.ExactArgs(args), func(c *cobra.Command, args []string, cfg config.Config) error {
		api := clientOf(cfg)
		sub, err := subAccountOf(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		place, err := change(c.Context(), api, sub.ID, args)
		if err != nil {
			return err
		}
		parent := "-"
		if place.ParentID != nil {
			parent = strconv.Itoa(int(*place.ParentID))
		}
		return p.show(place, cfg.JSON, "ID\tSUB-ACCOUNT\tUNDER\tLIMIT\tTAKEN\tSTATE",
			[]string{row(strconv.Itoa(int(place.ID)), place.Name, parent, rateOf(place.RatePerHour), strconv.Itoa(place.Taken), stateOf(&place))})
	})
}

func (p *program) showTree(tree client.Tree) error {
	rows := make([]string, len(tree.SubAccounts))
	for i := range tree.SubAccounts {
		b := &tree.SubAccounts[i]
		count := func(of func(*client.BranchStat) int64) string {
			own, all := strconv.FormatInt(of(&b.Stat), 10), strconv.FormatInt(of(&b.WithChildren), 10)
			if own == all {
				return own
			}
			return own + " (" + all + ")"
		}
		rows[i] = row(strconv.Itoa(int(b.ID)), strings.Repeat("  ", b.Level-1)+b.Name, rateOf(b.RatePerHour), strconv.Itoa(b.Taken),
			count(func(s *client.BranchStat) int64 { return s.Processed }), count(func(s *client.BranchStat) int64 { return s.Delivered }),
			count(func(s *client.BranchStat) int64 { return s.HardBounced + s.SoftBounced }), stateOf(&b.Place))
	}
	if err := p.table("ID\tSUB-ACCOUNT\tLIMIT\tTAKEN\tPROCESSED\tDELIVERED\tBOUNCED\tSTATE", rows); err != nil {
		return err
	}
	return p.say("\nCounted from %s to %s; in brackets with all that stand under it.\n", tree.From, tree.To)
}

func rateOf(perHour int) string {
	if perHour == 0 {
		return "-"
	}
	return strconv.Itoa(perHour) + "/h"
}

func stateOf(p *client.Place) string {
	switch {
	case p.Why != "":
		return p.Why
	case p.Paused:
		return "paused"
	}
	return "sends"
}
