package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

// webhooks are the commands about webhooks of the account.
func (p *program) webhooks() *cobra.Command {
	c := &cobra.Command{Use: "webhooks", Short: "Look at the webhooks that events are posted to, test them, and post events again", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: %[1]s list, add, delete, secret, pause, resume, attempts, test, or replay", c.CommandPath())
		}}
	c.AddCommand(p.listWebhooks(), p.addWebhook(), p.deleteWebhook(), p.webhookSecret(), p.pauseWebhook(true), p.pauseWebhook(false), p.webhookAttempts(),
		p.testWebhook(), p.replayWebhook())
	return c
}

// forWebhook is a command about the webhook that its argument names.
func (p *program) forWebhook(use, short string, run func(ctx context.Context, api *client.Client, id int32, asJSON bool) error) *cobra.Command {
	return p.command(use+" ID", short, config.Client, cobra.ExactArgs(1), func(c *cobra.Command, args []string, cfg config.Config) error {
		id, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil || id < 1 {
			return fmt.Errorf("%q is not the id of a webhook; postyard webhooks list shows them", args[0])
		}
		return run(c.Context(), clientOf(cfg), int32(id), cfg.JSON)
	})
}

func (p *program) listWebhooks() *cobra.Command {
	return p.command("list", "List webhooks, and URLs that messages named, with how posting goes", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			api := clientOf(cfg)
			own, err := api.Webhooks(c.Context())
			if err != nil {
				return err
			}
			named, err := api.NamedWebhooks(c.Context())
			if err != nil {
				return err
			}
			events := map[int32]string{}
			var ids []int32
			for i := range own {
				ids = append(ids, own[i].ID)
				events[own[i].ID] = togglesOf(&own[i])
			}
			for _, n := range named {
				ids = append(ids, n.ID)
				events[n.ID] = "of messages that name it"
			}
			var list []client.WebhookStatus
			for _, id := range ids {
				s, err := api.WebhookStatus(c.Context(), id)
				if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status == 404 {
					continue // deleted meanwhile
				}
				if err != nil {
					return err
				}
				list = append(list, s)
			}
			rows := make([]string, len(list))
			for i, s := range list {
				rows[i] = row(strconv.Itoa(int(s.ID)), s.State, strconv.FormatInt(s.Queued, 10), strconv.FormatInt(s.GivenUp, 10), s.URL, events[s.ID], s.Reason)
			}
			return p.show(list, cfg.JSON, "ID\tSTATE\tQUEUED\tGIVEN UP\tURL\tEVENTS\tREASON", rows)
		})
}

// togglesOf names the kinds of events that a webhook gets.
func togglesOf(w *client.Webhook) string {
	var on []string
	toggles := w.Toggles()
	for _, t := range toggles {
		if *t.On {
			on = append(on, t.Name)
		}
	}
	switch len(on) {
	case 0:
		return "none"
	case len(toggles):
		return "all"
	}
	return strings.Join(on, ",")
}

func (p *program) addWebhook() *cobra.Command {
	var events []string
	c := p.command("add URL", "Make a webhook", config.Client, cobra.ExactArgs(1), func(c *cobra.Command, args []string, cfg config.Config) error {
		w := client.Webhook{URL: args[0], Enabled: true}
		toggles := w.Toggles()
		for _, name := range events {
			i := slices.IndexFunc(toggles, func(t client.Toggle) bool { return strings.EqualFold(t.Name, name) })
			if i < 0 && name != "all" {
				return fmt.Errorf("--events: there is no kind %q", name)
			}
			for j, t := range toggles {
				*t.On = *t.On || i == j || name == "all"
			}
		}
		made, err := clientOf(cfg).CreateWebhook(c.Context(), w)
		if err != nil {
			return err
		}
		return p.show(made, cfg.JSON, "ID\tURL\tEVENTS", []string{row(strconv.Itoa(int(made.ID)), made.URL, togglesOf(&made))})
	})
	c.Flags().StringSliceVar(&events, "events", []string{"all"}, "kinds of events, such as delivered,hardBounced,spam")
	return c
}

func (p *program) deleteWebhook() *cobra.Command {
	return p.forWebhook("delete", "Delete a webhook, with what waits for it", func(ctx context.Context, api *client.Client, id int32, asJSON bool) error {
		if err := api.DeleteWebhook(ctx, id); err != nil {
			return err
		}
		if asJSON {
			return p.printJSON([]byte(`{"deleted":` + strconv.Itoa(int(id)) + `}`))
		}
		return p.say("webhook %d is deleted\n", id)
	})
}

func (p *program) webhookSecret() *cobra.Command {
	var rotate bool
	c := p.forWebhook("secret", "Show the secret that a webhook's bodies are signed with", func(ctx context.Context, api *client.Client, id int32, asJSON bool) error {
		s, err := api.WebhookSecret(ctx, id, rotate)
		if err != nil {
			return err
		}
		until := ""
		if s.FormerValidTo != 0 {
			until = moment(s.FormerValidTo)
		}
		return p.show(s, asJSON, "SECRET\tFORMER ONE SIGNS UNTIL", []string{row(s.Secret, until)})
	})
	c.Flags().BoolVar(&rotate, "rotate", false, "make another one first; the former one signs as well for a day")
	return c
}

func (p *program) pauseWebhook(paused bool) *cobra.Command {
	use, short := "resume", "Let the events of a webhook go on"
	if paused {
		use, short = "pause", "Let the events of a webhook wait"
	}
	return p.forWebhook(use, short, func(ctx context.Context, api *client.Client, id int32, asJSON bool) error {
		s, err := api.PauseWebhook(ctx, id, paused)
		if err != nil {
			return err
		}
		return p.show(s, asJSON, "ID\tSTATE\tQUEUED\tURL", []string{row(strconv.Itoa(int(s.ID)), s.State, strconv.FormatInt(s.Queued, 10), s.URL)})
	})
}

func (p *program) webhookAttempts() *cobra.Command {
	var eventID string
	var limit int
	c := p.forWebhook("attempts", "List the calls of a webhook, newest first", func(ctx context.Context, api *client.Client, id int32, asJSON bool) error {
		list, err := api.WebhookAttempts(ctx, id, eventID, limit)
		if err != nil {
			return err
		}
		rows := make([]string, len(list))
		for i, a := range list {
			rows[i] = row(moment(a.At), a.EventID, strconv.Itoa(a.Attempt), strconv.Itoa(a.Status), strconv.FormatInt(a.DurationMs, 10)+" ms", a.Outcome, a.Error)
		}
		return p.show(list, asJSON, "TIME\tEVENT\tATTEMPT\tSTATUS\tTOOK\tOUTCOME\tERROR", rows)
	})
	c.Flags().StringVar(&eventID, "event", "", "only those for this event")
	c.Flags().IntVar(&limit, "limit", 50, "most attempts")
	return c
}

func (p *program) testWebhook() *cobra.Command {
	var kind string
	var eventType int
	c := p.forWebhook("test", "Post a sample event to a webhook, and show what it answers", func(ctx context.Context, api *client.Client, id int32, asJSON bool) error {
		t, err := api.TestWebhook(ctx, id, kind, eventType)
		if err != nil {
			return err
		}
		if err := p.show(t, asJSON, "EVENT\tTYPE\tSTATUS\tTOOK\tERROR", []string{row(t.EventID, strconv.Itoa(t.Type), strconv.Itoa(t.Status),
			strconv.FormatInt(t.DurationMs, 10)+" ms", t.Error)}); err != nil {
			return err
		}
		if !t.OK {
			return errors.New("the receiver did not take it")
		}
		return nil
	})
	c.Flags().StringVar(&kind, "event", "delivered", "kind of event, named as the keys of a webhook are")
	c.Flags().IntVar(&eventType, "type", -1, "event type, SendPost's number, instead of a kind")
	return c
}

func (p *program) replayWebhook() *cobra.Command {
	var what client.WebhookReplay
	c := p.forWebhook("replay", "Post events to a webhook again: one, those of a time, or all that are missing", func(ctx context.Context, api *client.Client, id int32, asJSON bool) error {
		n, err := api.ReplayWebhook(ctx, id, what)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON([]byte(`{"queued":` + strconv.Itoa(n) + `}`))
		}
		return p.say("%d events are posted again\n", n)
	})
	f := c.Flags()
	f.StringVar(&what.EventID, "event", "", "this event")
	f.StringVar(&what.From, "from", "", "events from this day (YYYY-MM-DD, UTC) or instant (RFC 3339) on")
	f.StringVar(&what.To, "to", "", "to this day, included, or instant; now unless it is given")
	f.BoolVar(&what.Missing, "missing", false, "what was given up, and what waits for its next try")
	return c
}
