package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// members are the commands about who uses the dashboard.
func (p *program) members() *cobra.Command {
	c := &cobra.Command{Use: "members", Short: "List and invite those who use the dashboard, and give them roles", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, %[1]s invite, %[1]s role, %[1]s invitation, or %[1]s remove", c.CommandPath())
		}}
	list := p.command("list", "List members", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		list, err := clientOf(cfg).Members(c.Context())
		if err != nil {
			return err
		}
		return p.showMembers(list, cfg.JSON)
	})
	var name, role string
	invite := p.command("invite EMAIL", "Make a member, and the link with which they join", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			if name == "" {
				name, _, _ = strings.Cut(args[0], "@")
			}
			m, err := clientOf(cfg).Invite(c.Context(), args[0], name, role)
			if err != nil {
				return err
			}
			return p.showInvitation(m, cfg.JSON)
		})
	invite.Flags().StringVar(&name, "name", "", "what they are called (default: the email's part before the @)")
	invite.Flags().StringVar(&role, "role", "viewer", "owner, admin or viewer")
	again := p.command("invitation MEMBER", "Make a member, by email or id, another link: to join, or for a forgotten password", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			id, err := memberID(c.Context(), clientOf(cfg), args[0])
			if err != nil {
				return err
			}
			m, err := clientOf(cfg).InviteAgain(c.Context(), id)
			if err != nil {
				return err
			}
			return p.showInvitation(m, cfg.JSON)
		})
	set := p.command("role MEMBER ROLE", "Give a member, by email or id, another role: owner, admin or viewer", config.Client, cobra.ExactArgs(2),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			id, err := memberID(c.Context(), clientOf(cfg), args[0])
			if err != nil {
				return err
			}
			m, err := clientOf(cfg).ChangeRole(c.Context(), id, args[1])
			if err != nil {
				return err
			}
			return p.showMembers([]client.Member{m}, cfg.JSON)
		})
	remove := p.command("remove MEMBER", "Remove a member, by email or id; their sessions end at once", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			id, err := memberID(c.Context(), clientOf(cfg), args[0])
			if err != nil {
				return err
			}
			if err := clientOf(cfg).RemoveMember(c.Context(), id); err != nil {
				return err
			}
			if cfg.JSON {
				return p.printJSON([]byte(`{"deleted":` + strconv.Itoa(int(id)) + `}`))
			}
			return p.say("the member is removed\n")
		})
	c.AddCommand(list, invite, again, set, remove)
	return c
}

// memberID finds a member by email or id.
func memberID(ctx context.Context, api *client.Client, text string) (int32, error) {
	if !strings.Contains(text, "@") {
		return idArgument(text)
	}
	list, err := api.Members(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range list {
		if strings.EqualFold(m.Email, strings.TrimSpace(text)) {
			return m.ID, nil
		}
	}
	return 0, fmt.Errorf("nobody has the email %q", text)
}

func (p *program) showMembers(list []client.Member, asJSON bool) error {
	rows := make([]string, len(list))
	for i, m := range list {
		seen, state := "never", "joined"
		if m.LastSeen != 0 {
			seen = moment(m.LastSeen)
		}
		switch {
		case m.InvitedUntil != 0 && !m.Joined:
			state = "invited until " + moment(m.InvitedUntil)
		case !m.Joined:
			state = "the invitation has expired"
		}
		rows[i] = row(strconv.Itoa(int(m.ID)), m.Email, m.Name, m.Role, state, seen)
	}
	return p.show(list, asJSON, "ID\tEMAIL\tNAME\tROLE\tSTATE\tLAST SEEN", rows)
}

func (p *program) showInvitation(m client.Member, asJSON bool) error {
	if asJSON {
		return p.show(m, true, "", nil)
	}
	return p.say("Give %s this link. It is good until %s, once, and is not shown again:\n\n  %s\n\n", strings.Map(printable, m.Email), moment(m.InvitedUntil),
		strings.Map(printable, m.Invitation))
}
