package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postyard/internal/store/postgres/pgtest"
)

// figures are what programs read of a benchmark.
type figures struct {
	Name                                                        string
	Database                                                    string
	RatePerSecond, P50Ms, P99Ms, CPUMicrosPerMessage, PeakRSSMb *float64
	Lost, Doubled, Failed, BooksDiffer                          *int
	Messages, Events, Connections, MailboxProviders             int
	Seconds, ProviderLatencyMs                                  float64
}

// measure runs a benchmark for a second and checks what is promised of any.
func measure(t *testing.T, environ []string, args ...string) figures {
	t.Helper()
	dir := t.TempDir()
	r := finishWithin(t, 2*time.Minute, append([]string{"TMPDIR=" + dir}, environ...), binary, append([]string{"bench", "--duration", "1s", "--json"}, args...)...)
	var f figures
	if err := json.Unmarshal([]byte(r.out), &f); err != nil || r.code != 0 || r.err != "" || strings.Count(r.out, "\n") != 1 {
		t.Fatalf("%v: %+v (%v)", args, r, err)
	}
	for name, value := range map[string]*float64{"ratePerSecond": f.RatePerSecond, "p50Ms": f.P50Ms, "p99Ms": f.P99Ms, "peakRssMb": f.PeakRSSMb} {
		if value == nil || *value <= 0 {
			t.Errorf("%s: %s", name, r.out)
		}
	}
	if f.CPUMicrosPerMessage == nil || *f.CPUMicrosPerMessage < 0 {
		t.Errorf("cpuMicrosPerMessage: %s", r.out)
	}
	for name, value := range map[string]*int{"lost": f.Lost, "doubled": f.Doubled, "failed": f.Failed, "booksDiffer": f.BooksDiffer} {
		if value == nil || *value != 0 {
			t.Errorf("%s: %s", name, r.out)
		}
	}
	if f.Messages == 0 || f.Seconds <= 0 {
		t.Errorf("nothing was measured: %s", r.out)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return f
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestBench runs every benchmark. How fast anything is, is not looked at: others use this machine.
func TestBench(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"accept", "dispatch", "ingest", "life"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := measure(t, []string{"POSTYARD_BATCH_SIZE=nonsense"}, name, "--connections", "8", "--mailbox-providers", "12", "--provider-latency", "5ms")
			if f.Name != name || f.Database != "sqlite" || f.Connections != 8 || f.MailboxProviders != 12 || f.ProviderLatencyMs != 5 {
				t.Errorf("%+v", f)
			}
			switch want := map[string]int{"ingest": 1, "life": 2 * f.Messages}[name]; name {
			case "ingest":
				if f.Events < want {
					t.Errorf("%d events", f.Events)
				}
			default:
				if f.Events != want {
					t.Errorf("%d events of %d messages, want %d", f.Events, f.Messages, want)
				}
			}
		})
	}
}

// TestBenchOnPostgreSQL leaves its data in the database, and refuses one that has any.
func TestBenchOnPostgreSQL(t *testing.T) {
	t.Parallel()
	environ := []string{"POSTYARD_DATABASE=" + pgtest.Shared(t).Empty(t, "")}
	if f := measure(t, environ, "life"); f.Database != "postgres" {
		t.Errorf("%+v", f)
	}
	if r := run(t, environ, "bench", "accept"); r.code != 1 || r.out != "" || !strings.Contains(r.err, "the database is not empty") {
		t.Errorf("%+v", r)
	}
}

// TestBenchTable is what people see.
func TestBenchTable(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "bench", "accept", "--duration", "100ms", "--connections", "2")
	for _, want := range []string{"ACCEPT", "messages/s", "p99", "lost", "doubled"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("%q is missing: %+v", want, r)
		}
	}
	for flags, want := range map[string]string{
		"accept --duration 1h": "duration", "accept --connections 0": "connections", "accept --mailbox-providers 13": "mailbox providers",
		"accept --provider-latency -1s": "latency", "everything": "invalid argument", "": "accepts 1 arg",
	} {
		if r := run(t, nil, append([]string{"bench"}, strings.Fields(flags)...)...); r.code != 1 || r.out != "" || !strings.Contains(r.err, want) {
			t.Errorf("%s: %+v", flags, r)
		}
	}
}

// TestBenchInterrupted ends everything that it started, and leaves nothing.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startWith(t, []string{"TMPDIR=" + dir}, "bench", "accept", "--duration", "5m")
	var children []string
	eventually(t, "the server has data", longest, func() bool {
		children = childrenOf(p.cmd.Process.Pid)
		list, err := filepath.Glob(filepath.Join(dir, "*", "server", "postyard.db"))
		return err == nil && len(list) == 1 && len(children) == 2
	})
	if code := p.interrupt(syscall.SIGINT); code != 1 || !strings.Contains(p.output(), "interrupted") {
		t.Errorf("exit code %d: %s", code, p.output())
	}
	for _, pid := range children {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s still lives", pid)
		}
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// childrenOf lists the processes that a process has started, by Linux's word.
func childrenOf(pid int) (list []string) {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children") // the pattern is right
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err == nil { // the thread may be gone
			list = append(list, strings.Fields(string(raw))...)
		}
	}
	return list
}
