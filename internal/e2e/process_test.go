package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postyard/internal/e2e/programtest"

	"go.uber.org/goleak"
)

var binary string

// longest is how long anything may take that should take seconds; the machine may be busy.
const longest = 2 * time.Minute

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postyard-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "postyard")
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, 2*runtime.GOMAXPROCS(0)))); err != nil { // they wait more than they work
		panic(err)
	}
	if err := programtest.Build(context.Background(), binary); err != nil {
		panic(err)
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

// process is a running postyard.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output and standard error, which may overtake each other
	early []string    // lines that came before those that were waited for
	mu    sync.Mutex
	log   bytes.Buffer // both
	out   bytes.Buffer // standard output alone
	done  chan struct{}
}

// environment is what the binary is run in, and nothing else of ours. No test asks a DNS server outside.
func environment(t *testing.T, more ...string) []string {
	return append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GORACE=halt_on_error=1", "POSTYARD_DNS=off"}, more...)
}

// start runs the binary. It is killed when the test ends, if it still runs then.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith runs the binary with more in its environment.
func startWith(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), lines: make(chan string, 1024), done: make(chan struct{})}
	p.cmd.Env = environment(t, environ...)
	out, stdout := io.Pipe()
	errs, stderr := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		_, _ = stdout.Close(), stderr.Close()
	}()
	go func() {
		defer close(p.done)
		defer close(p.lines)
		var reading sync.WaitGroup
		reading.Go(func() { p.read(out, &p.out, &p.log) })
		reading.Go(func() { p.read(errs, &p.log) })
		reading.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%v:\n%s", p.cmd.Args[1:], p.output())
		}
		if strings.Contains(p.output(), "DATA RACE") {
			t.Errorf("data race in %v:\n%s", p.cmd.Args[1:], p.output())
		}
	})
	return p
}

func (p *process) read(stream io.Reader, into ...*bytes.Buffer) {
	scanner := bufio.NewScanner(stream)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		for _, b := range into {
			b.WriteString(scanner.Text() + "\n")
		}
		p.mu.Unlock()
		select {
		case p.lines <- scanner.Text():
		default: // nobody reads any more
		}
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stdout is what it printed for its user; its log is not among it.
func (p *process) stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// line waits for a line that holds the text.
func (p *process) line(text string) string {
	p.t.Helper()
	if i := slices.IndexFunc(p.early, func(line string) bool { return strings.Contains(line, text) }); i >= 0 {
		line := p.early[i]
		p.early = slices.Delete(p.early, i, i+1)
		return line
	}
	timeout := time.After(longest)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%v ended before it printed %q:\n%s", p.cmd.Args[1:], text, p.output())
			}
			if strings.Contains(line, text) {
				return line
			}
			p.early = append(p.early, line)
		case <-timeout:
			p.t.Fatalf("%v did not print %q:\n%s", p.cmd.Args[1:], text, p.output())
		}
	}
}

// decode reads the JSON line that holds the text.
func (p *process) decode(text string, into any) {
	p.t.Helper()
	line := p.line(text)
	if err := json.Unmarshal([]byte(line), into); err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
}

// kill ends the process at once, as the kernel would.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop asks the process to end, and returns its exit code.
func (p *process) stop() int { return p.interrupt(syscall.SIGTERM) }

func (p *process) interrupt(signal syscall.Signal) int {
	p.end(signal)
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) end(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(longest):
		p.t.Errorf("%v did not end within %v of %v", p.cmd.Args[1:], longest, signal)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// result is what a command did that ended by itself.
type result struct {
	out, err string // standard output, standard error
	code     int
}

// run runs the binary to its end.
func run(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	return finish(t, environ, binary, args...)
}

// finish runs a program to its end.
func finish(t *testing.T, environ []string, name string, args ...string) result {
	t.Helper()
	return finishWithin(t, longest, environ, name, args...)
}

// finishWithin runs a program that may take longer.
func finishWithin(t *testing.T, limit time.Duration, environ []string, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = environment(t, environ...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%v did not end within %s:\n%s%s", args, limit, &out, &errs)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", args, err)
	}
	if strings.Contains(errs.String(), "DATA RACE") {
		t.Errorf("data race in %v:\n%s", args, &errs)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// call sends a JSON request and decodes the answer.
func call(ctx context.Context, method, url string, header map[string]string, in, out any) (status int, err error) {
	status, _, err = exchange(ctx, method, url, header, in, out)
	return status, err
}

// exchange is call, with the headers of the answer.
func exchange(ctx context.Context, method, url string, header map[string]string, in, out any) (status int, answer http.Header, err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, res.Header, err
	}
	if out == nil {
		return res.StatusCode, res.Header, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return res.StatusCode, res.Header, fmt.Errorf("%s: %w", raw, err)
	}
	return res.StatusCode, res.Header, nil
}

// eventually asks again until the condition holds.
func eventually(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}
