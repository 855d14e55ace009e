package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postyard/internal/config"
)

// eventQuery says which events are meant.
type eventQuery struct {
	types                                          []int
	search, recipient, message, provider, from, to string
	subAccount                                     int
}

func (q *eventQuery) flags(f *pflag.FlagSet) {
	f.IntSliceVar(&q.types, "type", nil, "event type, SendPost's number")
	f.StringVar(&q.search, "search", "", "a part of the recipient's address")
	f.StringVar(&q.recipient, "recipient", "", "recipient's address")
	f.StringVar(&q.message, "message", "", "message id")
	f.StringVar(&q.provider, "provider", "", "kind of provider, such as postmark")
	f.IntVar(&q.subAccount, "sub-account", 0, "sub-account's id")
	f.StringVar(&q.from, "from", "", "first day (YYYY-MM-DD, UTC) or instant (RFC 3339)")
	f.StringVar(&q.to, "to", "", "last day or instant")
}

func (q *eventQuery) values() url.Values {
	values := url.Values{}
	for _, t := range q.types {
		values.Add("type", strconv.Itoa(t))
	}
	for name, value := range map[string]string{"search": q.search, "recipient": q.recipient, "messageId": q.message, "provider": q.provider, "from": q.from, "to": q.to} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.subAccount != 0 {
		values.Set("subAccountId", strconv.Itoa(q.subAccount))
	}
	return values
}

func (p *program) countEvents() *cobra.Command {
	of := eventQuery{}
	c := p.command("count", "Count events", config.Client, cobra.NoArgs, func(c *cobra.Command, _ []string, cfg config.Config) error {
		var raw json.RawMessage
		if err := clientOf(cfg).Account(c.Context(), http.MethodGet, "/api/v1/account/event/count?"+of.values().Encode(), nil, &raw); err != nil {
			return err
		}
		if cfg.JSON {
			return p.printJSON(raw)
		}
		var counted struct {
			Count int `json:"count"`
		}
		if err := json.Unmarshal(raw, &counted); err != nil {
			return fmt.Errorf("decode answer: %w", err)
		}
		return p.say("%d\n", counted.Count)
	})
	of.flags(c.Flags())
	return c
}

func (p *program) exportEvents() *cobra.Command {
	of := eventQuery{}
	var format, output string
	c := p.command("export", "Write events to a file, in the order in which they happened", config.Client, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			q := of.values()
			q.Set("format", format)
			return p.output(output, func(w io.Writer) error { return clientOf(cfg).ExportEvents(c.Context(), q, w) })
		})
	of.flags(c.Flags())
	c.Flags().StringVar(&format, "format", "csv", "csv, or ndjson: one event a line, as JSON")
	outputFlag(c.Flags(), &output)
	return c
}

func outputFlag(f *pflag.FlagSet, path *string) {
	f.StringVarP(path, "output", "o", "", "the file to write, once it is whole; standard output unless it is given")
}

// output has a file written, or standard output. The file appears when it is whole.
func (p *program) output(path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		return write(p.out)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	err = write(file)
	if closed := file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write file: %w", closed)
	}
	if err == nil {
		if err = os.Rename(file.Name(), path); err == nil {
			return nil
		}
	}
	_ = os.Remove(file.Name())
	return err
}

// messages lists what an address was sent.
func (p *program) messages() *cobra.Command {
	var limit int
	c := p.command("messages ADDRESS", "List the messages to an address, newest first", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			var raw json.RawMessage
			path := "/api/v1/account/recipient/" + url.PathEscape(args[0]) + "/messages?limit=" + strconv.Itoa(limit)
			if err := clientOf(cfg).Account(c.Context(), http.MethodGet, path, nil, &raw); err != nil {
				return err
			}
			if cfg.JSON {
				return p.printJSON(raw)
			}
			var list []struct {
				MessageID    string `json:"messageID"`
				SubAccountID int    `json:"subAccountID"`
				SubmittedAt  int64  `json:"submittedAt"`
				From         struct {
					Email string `json:"email"`
				} `json:"from"`
				Subject string `json:"subject"`
			}
			if err := json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("decode messages: %w", err)
			}
			rows := make([]string, len(list))
			for i, m := range list {
				rows[i] = row(moment(m.SubmittedAt), m.MessageID, strconv.Itoa(m.SubAccountID), m.From.Email, m.Subject)
			}
			return p.table("TIME\tMESSAGE\tSUB-ACCOUNT\tFROM\tSUBJECT", rows)
		})
	c.Flags().IntVar(&limit, "limit", 20, "most messages")
	return c
}
