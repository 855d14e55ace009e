package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"postyard/internal/config"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/record"
	"postyard/internal/ssrf"
)

func (p *program) record() *cobra.Command {
	var o record.Options
	var yes bool
	c := p.command("record", "Ask a real Postmark account what is not known about Postmark", config.Record, cobra.NoArgs,
		func(c *cobra.Command, _ []string, cfg config.Config) error {
			// The person who runs this names the endpoint: it may be a sandbox on this machine.
			transport := ssrf.NewTransport(ssrf.Options{AllowPrivate: o.Endpoint != ""})
			defer transport.CloseIdleConnections()
			o.Token, o.Transport = cfg.RecordToken, transport
			o.Adapter = func(t http.RoundTripper) provider.Adapter { return postmark.New(postmark.Config{Transport: t}) }
			o.Progress = func(line string) { _, _ = fmt.Fprintln(p.err, line) } // a progress that nobody reads is no failure
			o.Confirm = func(plan string) (bool, error) {
				if err := p.say("%s", printableLines(plan)); err != nil || yes {
					return yes, err
				}
				if err := p.say("\nGo on? Type yes: "); err != nil {
					return false, err
				}
				answer, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 100)).ReadString('\n')
				if err != nil && !errors.Is(err, io.EOF) {
					return false, fmt.Errorf("read the answer: %w", err)
				}
				return strings.EqualFold(strings.TrimSpace(answer), "yes"), nil
			}
			result, err := record.Run(c.Context(), o)
			if result != nil {
				err = errors.Join(err, p.say("%d defaults confirmed, %d contradicted, %d open: see %s in %s\n",
					result.Confirmed, result.Contradicted, result.Open, record.SummaryName, o.Out))
				if len(result.Left) > 0 {
					err = errors.Join(err, fmt.Errorf("left behind:\n%s", strings.Join(result.Left, "\n")))
				}
			}
			return err
		})
	c.Long = `Ask a real Postmark account what is not known about Postmark.

It makes a few calls for each open question (docs/postmark/unknown.md), says before what it sends and makes, removes what it made, and
writes one file for each question and a summary. Secrets and addresses of people are taken out before anything is written. The token is
given by the environment variable POSTYARD_RECORD_TOKEN. Use a server of its own: for a minute, its webhooks are as many as there may be.`
	f := c.Flags()
	f.StringVar(&o.Stream, "stream", "outbound", "message stream that is used")
	f.StringVar(&o.Recipient, "recipient", "", "your address, which gets a handful of mails")
	f.StringVar(&o.Sender, "from", "", "sender that Postmark has confirmed; the recipient unless it is given")
	f.StringVar(&o.Listen, "listen", "", "address and port at which to take webhooks; without it, what needs them is not asked")
	f.StringVar(&o.PublicURL, "public-url", "", "URL under which Postmark reaches that address")
	f.StringVar(&o.Out, "out", "postyard-record", "directory for the answers; empty or not there yet")
	f.StringVar(&o.Endpoint, "endpoint", "", "URL of the API; Postmark's unless it is given")
	f.IntSliceVar(&o.Only, "only", nil, "numbers of the questions to ask; all unless it is given")
	f.BoolVar(&o.Archive, "archive", false, "also ask what leaves an archived stream behind for 45 days")
	f.DurationVar(&o.Patience, "patience", record.DefaultPatience, "how long to wait for what Postmark does by itself")
	f.BoolVar(&yes, "yes", false, "do not ask before")
	return c
}
