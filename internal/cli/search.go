package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/event"
)

// search finds messages.
func (p *program) search() *cobra.Command {
	limit := 50
	c := p.command("search WORDS...", "Find messages: to:@gmail.com status:bounced provider:postmark since:2h (docs/search.md)", config.Client, cobra.ArbitraryArgs,
		func(c *cobra.Command, args []string, cfg config.Config) error {
			if limit < 1 {
				return errors.New("--limit must be at least 1")
			}
			var all client.Found
			for before := ""; ; before = all.Cursor {
				page, raw, err := clientOf(cfg).Search(c.Context(), strings.Join(args, " "), min(limit-len(all.Messages), 200), before)
				if err != nil {
					return err
				}
				if cfg.JSON {
					if err := p.printJSON(raw); err != nil {
						return err
					}
				}
				page.Messages = append(all.Messages, page.Messages...)
				all = page
				if !all.More || len(all.Messages) >= limit {
					break
				}
			}
			if cfg.JSON {
				return nil
			}
			return p.showFound(&all)
		})
	c.Flags().IntVar(&limit, "limit", limit, "most messages")
	return c
}

func (p *program) showFound(f *client.Found) error {
	if len(f.Messages) == 0 {
		return p.say("No message has all of this.\n")
	}
	rows := make([]string, len(f.Messages))
	for i := range f.Messages {
		m := &f.Messages[i]
		last := ""
		switch {
		case m.Waiting != "":
			if last = m.Waiting; m.DueAt > 0 {
				last += ", until " + moment(m.DueAt)
			}
		case m.LastEvent != nil:
			last = strings.TrimSuffix(m.LastEvent.Name+": "+m.LastEvent.Words, ": ")
		}
		subject := m.Subject
		if subject == "" && m.Template != "" {
			subject = "template " + m.Template
		}
		rows[i] = row(moment(m.SubmittedAt), m.ID, m.State, m.To.Email, subject, m.Provider, last)
	}
	if err := p.table("SUBMITTED\tMESSAGE\tSTATE\tTO\tSUBJECT\tPROVIDER\tLAST", rows); err != nil || !f.More {
		return err
	}
	return p.say("There may be more: everything was looked at back to %s.\n", moment(f.LookedBackTo))
}

// tail follows events.
func (p *program) tail() *cobra.Command {
	of := eventQuery{}
	after, most := "", 0
	c := p.command("tail", "Follow events as they are recorded", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		q, n := of.values(), 0
		enough := errors.New("enough")
		for {
			if after != "" {
				q.Set("after", after)
			}
			last, err := p.follow(c.Context(), cfg, q, func() error {
				if n++; n == most {
					return enough
				}
				return nil
			})
			switch {
			case err != nil:
				if errors.Is(err, enough) || c.Context().Err() != nil {
					err = nil
				}
				return err
			case last == "":
				return errors.New("the server ended the stream before it began")
			}
			after = last // it ended, as when the server is restarted
		}
	})
	of.flags(c.Flags())
	c.Flags().StringVar(&after, "after", "", "begin after the event with this id")
	c.Flags().IntVar(&most, "count", 0, "end after so many events; 0: never")
	return c
}

// follow prints the events of one stream.
func (p *program) follow(ctx context.Context, cfg config.Config, q url.Values, printed func() error) (last string, err error) {
	return clientOf(cfg).Tail(ctx, q, func(raw json.RawMessage) error {
		if cfg.JSON {
			if err := p.printJSON(bytes.Clone(raw)); err != nil {
				return err
			}
			return printed()
		}
		var e client.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		detail := e.SMTPDescription
		if detail == "" {
			detail = e.EventMetadata.ClickedURL
		}
		name := strconv.Itoa(e.Type)
		if info, ok := event.Describe(event.Type(e.Type)); ok {
			name = info.Name
		}
		if err := p.say("%s\n", row(moment(e.SubmittedAt), name, e.To, e.MessageID, detail)); err != nil {
			return err
		}
		return printed()
	})
}
