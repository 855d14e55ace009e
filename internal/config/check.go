package config

import (
	"fmt"
	"net"
	"time"
)

// Source tells where a value came from, in words: "flag --data", "environment variable POSTYARD_DATA",
// "file /etc/postyard.yaml", or [Default].
type Source string

// Default is the source of a value that was not set.
const Default Source = "default"

// Error reports one option that is wrong.
type Error struct {
	Option string // its name, such as "batch-size"
	Source Source
	Value  string // as it was written; empty when it is, or may hold, a secret
	Rule   string // what it must be, such as "must be a whole number from 1 to 500"
}

func (e *Error) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("option %s (%s) %s", e.Option, e.Source, e.Rule)
	}
	return fmt.Sprintf("option %s (%s) is %.80q but %s", e.Option, e.Source, e.Value, e.Rule)
}

// checkTogether checks the rules between options. Those of one option stand in the table.
func (l *loader) checkTogether(c Config) []error {
	var errs []error
	refuse := func(name, rule string, args ...any) {
		errs = append(errs, &Error{Option: name, Source: l.source(name), Rule: fmt.Sprintf(rule, args...)})
	}
	if l.scope == Serve || l.scope == Demo {
		if c.Data == "" {
			refuse("data", "must name a directory")
		}
		checkTimes(c, refuse)
		if c.BatchSize > c.MaxBacklog {
			refuse("batch-size", "is %d but must be at most max-backlog (%d, %s)", c.BatchSize, c.MaxBacklog, l.source("max-backlog"))
		}
	}
	if l.scope == Demo && c.SandboxURL == "" && sameAddress(c.Listen, c.SandboxListen) {
		refuse("sandbox-listen", "is %s but must not be the address of listen (%s)", c.SandboxListen, l.source("listen"))
	}
	return errs
}

func checkTimes(c Config, refuse func(name, rule string, args ...any)) {
	for _, pair := range []struct {
		longer, shorter string
		long, short     time.Duration
	}{
		{"ambiguous-wait", "the last of ask-after", c.AmbiguousWait, c.AskAfter[len(c.AskAfter)-1]},
		{"message-ttl", "ambiguous-wait", c.MessageTTL, c.AmbiguousWait},
	} {
		if pair.long <= pair.short {
			refuse(pair.longer, "is %s but must be longer than %s (%s)", short(pair.long), pair.shorter, short(pair.short))
		}
	}
}

// sameAddress reports whether two listeners would be in each other's way: same port, and same host or one of them all.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isAny(hostA) || isAny(hostB)
}

func isAny(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
