package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/bench"
	"postyard/internal/config"
)

func (p *program) bench() *cobra.Command {
	o := bench.Options{Environ: p.environ}
	names := bench.Names()
	c := p.command("bench "+strings.Join(names, "|"), "Measure a server on this machine, and look for every id", config.Bench,
		cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), func(c *cobra.Command, args []string, cfg config.Config) error {
			o.Database = cfg.Database
			result, err := bench.Run(c.Context(), args[0], o)
			if err != nil {
				return err
			}
			show := p.showBench
			if cfg.JSON {
				show = p.printBench
			}
			return errors.Join(show(result), result.Err())
		})
	c.ValidArgs = names
	c.Long = `Measure a server on this machine, and look for every id.

It starts a server and a sandbox, with nothing in them, sends through both, and removes what they left. The exit code is 1 when a
message or an event was lost or doubled, a request failed, or the books do not balance.

  accept    requests of 2 KB with one recipient, answered after the fsync; the provider is held meanwhile
  dispatch  a backlog leaves through the provider
  ingest    a provider's reports about messages that were sent
  life      messages that are accepted, sent, reported as delivered and as opened, with every event posted to webhooks`
	f := c.Flags()
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long load is put on the server")
	f.IntVar(&o.Connections, "connections", 64, "connections that carry it")
	f.DurationVar(&o.ProviderLatency, "provider-latency", 20*time.Millisecond, "how long a call to the provider takes")
	f.IntVar(&o.Webhooks, "webhooks", 2, "webhooks of the account that get every event, in life; at most "+strconv.Itoa(bench.MaxWebhooks))
	f.IntVar(&o.MailboxProviders, "mailbox-providers", 4, "different mailbox providers of the recipients, at most "+strconv.Itoa(bench.MaxMailboxProviders))
	return c
}

func (p *program) printBench(r *bench.Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return p.say("%s\n", line)
}

func (p *program) showBench(r *bench.Result) error {
	figure := func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
	units := "messages/s"
	if r.Name == "ingest" {
		units = "events/s"
	}
	return p.table(strings.ToUpper(r.Name)+"\t", []string{
		row(units, strconv.FormatFloat(r.RatePerSecond, 'f', 0, 64)),
		row("p50", figure(r.P50Ms)+" ms"),
		row("p99", figure(r.P99Ms)+" ms"),
		row("server's processor time each", figure(r.CPUMicrosPerMessage)+" µs"),
		row("server's peak memory", figure(r.PeakRSSMb)+" MiB"),
		row("messages", strconv.Itoa(r.Messages)),
		row("events", strconv.Itoa(r.Events)),
		row("webhook calls", strconv.Itoa(r.Webhooks)),
		row("of these more than once", strconv.Itoa(r.WebhooksAgain)),
		row("measured for", figure(r.Seconds)+" s"),
		row("connections", strconv.Itoa(r.Connections)),
		row("mailbox providers", strconv.Itoa(r.MailboxProviders)),
		row("provider's latency", figure(r.ProviderLatencyMs)+" ms"),
		row("database", r.Database),
		row("failed requests", strconv.Itoa(r.Failed)),
		row("differences in the books", strconv.FormatInt(r.BooksDiffer, 10)),
		row("lost", strconv.Itoa(r.Lost)),
		row("doubled", strconv.Itoa(r.Doubled)),
	})
}
