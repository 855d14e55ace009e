// Package cli is the command line: it reads the configuration of a command, runs what the command names, and prints. The
// work itself is done elsewhere.
package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"postyard/internal/config"
)

// program is one run of the program.
type program struct {
	out, err io.Writer
	environ  []string
}

// Main runs the command line and returns the exit code: 0, or 1 when something failed.
func Main(args []string, out, errOut io.Writer, environ []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once; what was acknowledged is on disk
	p := &program{out: out, err: errOut, environ: environ}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	if err := root.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(errOut, "postyard:", printableLines(err.Error()))
		return 1
	}
	return 0
}

// printableLines is text without control characters but the ends of its lines. An error may quote what a server said.
func printableLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return printable(r)
	}, text)
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "postyard",
		Short:         "A switchyard for email: one API in front of many email service providers",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(p.demo(), p.serve(), p.sandbox(), p.send(), p.events(), p.message(), p.verify(), p.stats(), p.compare(), p.catchUp(), p.templates(),
		p.drill(), p.pause(), p.resume(), p.cancel(), p.bench(), p.record())
	root.AddCommand(p.doctor(), p.suppressions())
	root.AddCommand(p.labels(), p.subAccounts(), p.members(), p.messages(), p.search(), p.tail(), p.domains(), p.ips(), p.webhooks(), p.audit())
	return root
}

// version is the version of the module, as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// command builds a command whose options come from the configuration's table.
func (p *program) command(use, short string, scope config.Scope, args cobra.PositionalArgs, run func(*cobra.Command, []string, config.Config) error) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: args}
	config.Flags(c.Flags(), scope)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := config.Load(c.Flags(), scope, p.environ)
		if err != nil {
			return err
		}
		return run(c, args, cfg)
	}
	return c
}

// logger writes to standard error, so that standard output is the command's own.
func (p *program) logger(cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(p.err, options))
	}
	return slog.New(slog.NewTextHandler(p.err, options))
}

// say prints to standard output.
func (p *program) say(format string, args ...any) error {
	_, err := fmt.Fprintf(p.out, format, args...)
	return err
}
