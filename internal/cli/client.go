package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/event"
)

func clientOf(cfg config.Config) *client.Client {
	return &client.Client{URL: cfg.URL, AccountKey: cfg.AccountKey, SubAccountKey: cfg.SubAccountKey}
}

// table prints rows under a header, in columns.
func (p *program) table(header string, rows []string) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range append([]string{header}, rows...) {
		if _, err := fmt.Fprintln(w, row); err != nil {
			return err
		}
	}
	return w.Flush()
}

// row joins cells.
func row(cells ...string) string {
	for i, cell := range cells {
		cells[i] = strings.Map(printable, cell)
	}
	return strings.Join(cells, "\t")
}

// printable replaces control characters, C0 and C1: those of foreign text must not reach the terminal.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return ' '
	}
	return r
}

func (p *program) printJSON(raw json.RawMessage) error {
	return p.say("%s\n", strings.TrimSpace(string(raw)))
}

func (p *program) send() *cobra.Command {
	var mail client.Email
	var to, cc, bcc, fields, headers []string
	var replyTo string
	c := p.command("send", "Send an email", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		if len(to) == 0 {
			return fmt.Errorf("--to is needed")
		}
		var err error
		if mail.CustomFields, err = pairs(fields, anyValue); err != nil {
			return fmt.Errorf("--field: %w", err)
		}
		if mail.Headers, err = pairs(headers, func(s string) string { return s }); err != nil {
			return fmt.Errorf("--header: %w", err)
		}
		if replyTo != "" {
			mail.ReplyTo = &client.Address{Email: replyTo}
		}
		for _, email := range to {
			mail.To = append(mail.To, client.Recipient{Address: client.Address{Email: email}, CC: addresses(cc), BCC: addresses(bcc)})
		}
		if cfg.JSON {
			var raw json.RawMessage
			if err := clientOf(cfg).SubAccount(c.Context(), http.MethodPost, "/api/v1/subaccount/email/", mail, &raw); err != nil {
				return err
			}
			if err := p.printJSON(raw); err != nil {
				return err
			}
			var sent []client.Sent
			if err := json.Unmarshal(raw, &sent); err != nil {
				return fmt.Errorf("decode answer: %w", err)
			}
			return refusals(sent)
		}
		sent, err := clientOf(cfg).Send(c.Context(), mail)
		if err != nil {
			return err
		}
		return p.showSent(sent)
	})
	f := c.Flags()
	f.StringVar(&mail.From.Email, "from", "", "sender's address")
	f.StringVar(&mail.From.Name, "from-name", "", "sender's name")
	f.StringSliceVar(&to, "to", nil, "recipient's address; one message each")
	f.StringSliceVar(&cc, "cc", nil, "address of a copy")
	f.StringSliceVar(&bcc, "bcc", nil, "address of a blind copy")
	f.StringVar(&replyTo, "reply-to", "", "address for answers")
	f.StringVar(&mail.Subject, "subject", "", "subject")
	f.StringVar(&mail.IPPool, "pool", "", "IP pool (ippool)")
	f.StringVar(&mail.TPSPTemplate, "template", "", "the provider's template, by alias (tpspTemplate)")
	f.StringArrayVar(&fields, "field", nil, "custom field, name=value; a value that is JSON is sent as JSON")
	f.StringArrayVar(&headers, "header", nil, "header, name=value")
	f.StringSliceVar(&mail.Groups, "group", nil, "group")
	return c
}

func (p *program) showSent(sent []client.Sent) error {
	rows := make([]string, len(sent))
	for i, s := range sent {
		result := "accepted"
		if s.ErrorCode != 0 {
			result = fmt.Sprintf("refused (%d): %s", s.ErrorCode, s.Message)
		}
		rows[i] = row(s.To, s.MessageID, result)
	}
	if err := p.table("TO\tMESSAGE\tRESULT", rows); err != nil {
		return err
	}
	return refusals(sent)
}

// refusals is an error when recipients were refused, so that scripts notice.
func refusals(sent []client.Sent) error {
	refused := 0
	for _, s := range sent {
		if s.ErrorCode != 0 {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d recipients were refused", refused, len(sent))
	}
	return nil
}

func addresses(emails []string) []client.Address {
	list := make([]client.Address, len(emails))
	for i, email := range emails {
		list[i].Email = email
	}
	return list
}

// pairs reads name=value arguments.
func pairs[V any](list []string, value func(string) V) (map[string]V, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := make(map[string]V, len(list))
	for _, pair := range list {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not name=value", pair)
		}
		m[name] = value(text)
	}
	return m, nil
}

// anyValue keeps JSON as it was written: a number may have more digits than a float64.
func anyValue(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

func (p *program) events() *cobra.Command {
	of := eventQuery{}
	var order string
	var limit int
	c := p.command("events", "List events, newest first", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		q := of.values()
		q.Set("limit", strconv.Itoa(limit))
		q.Set("order", order)
		return p.listEvents(c, cfg, "/api/v1/account/event/?"+q.Encode())
	})
	of.flags(c.Flags())
	c.Flags().StringVar(&order, "order", "desc", "asc: as recorded; desc: newest first")
	c.Flags().IntVar(&limit, "limit", 50, "most events")
	c.AddCommand(p.countEvents(), p.exportEvents())
	return c
}

func (p *program) listEvents(c *cobra.Command, cfg config.Config, path string) error {
	var raw json.RawMessage
	if err := clientOf(cfg).Account(c.Context(), http.MethodGet, path, nil, &raw); err != nil {
		return err
	}
	if cfg.JSON {
		return p.printJSON(raw)
	}
	var list []client.Event
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("decode events: %w", err)
	}
	return p.showEvents(list)
}

func (p *program) showEvents(list []client.Event) error {
	rows := make([]string, len(list))
	for i, e := range list {
		name := "?"
		if info, ok := event.Describe(event.Type(e.Type)); ok {
			name = info.Name
		}
		about := e.SMTPDescription
		if e.EventMetadata.ClickedURL != "" {
			about = e.EventMetadata.ClickedURL
		}
		rows[i] = row(moment(e.SubmittedAt), strconv.Itoa(e.Type), name, e.To, e.MessageID, about)
	}
	return p.table("TIME\tTYPE\tEVENT\tRECIPIENT\tMESSAGE\tDETAIL", rows)
}

func moment(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000Z") }
