package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a process of this program's binary.
type child struct {
	name     string
	cmd      *exec.Cmd
	out, err output
	stop     context.CancelFunc
	ended    chan struct{}
}

// Times of a child.
const (
	startWithin = 30 * time.Second
	stopWithin  = 40 * time.Second // longer than a server waits for calls on the wire; then it is killed
)

// spawn starts the binary. The process is asked to end when ctx ends.
func spawn(ctx context.Context, environ []string, name string, args ...string) (*child, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program's own file: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	c := &child{name: name, stop: stop, ended: make(chan struct{}), out: newOutput(), err: newOutput()}
	c.cmd = exec.CommandContext(ctx, binary, append([]string{name}, args...)...) //nolint:gosec // our own file
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = environ, &c.out, &c.err
	c.cmd.SysProcAttr = dieWithParent()
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = stopWithin
	if err := c.cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // how it ended is in ProcessState
	}()
	return c, nil
}

// read waits until the output matches, and returns the parts of the match.
func (c *child) read(ctx context.Context, from *output, pattern *regexp.Regexp) ([]string, error) {
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	for {
		if parts := from.find(pattern); parts != nil {
			return parts, nil
		}
		select {
		case <-from.grown:
		case <-c.ended:
			if parts := from.find(pattern); parts != nil {
				return parts, nil
			}
			return nil, fmt.Errorf("%s ended (%s): %s", c.name, c.cmd.ProcessState, c.err.last())
		case <-timeout.C:
			return nil, fmt.Errorf("%s did not start within %s: %s", c.name, startWithin, c.err.last())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *child) pid() int                { return c.cmd.Process.Pid }
func (c *child) state() *os.ProcessState { return c.cmd.ProcessState }

// cpu is what the process used, once it has ended.
func (c *child) cpu() time.Duration { return c.state().UserTime() + c.state().SystemTime() }

// end has the process end and waits for it. The error says how it ended when it did not end well.
func (c *child) end() error {
	if c == nil {
		return nil
	}
	select {
	case <-c.ended: // by itself, which it should not
		return fmt.Errorf("%s ended early (%s): %s", c.name, c.cmd.ProcessState, c.err.last())
	default:
	}
	c.stop()
	<-c.ended
	if !c.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %s: %s", c.name, c.cmd.ProcessState, c.err.last())
	}
	return nil
}

// output keeps the beginning of a stream, for what is looked for in it, and its end, for people.
type output struct {
	mu         sync.Mutex
	head, tail []byte
	grown      chan struct{}
}

const (
	headBytes = 64 << 10
	tailBytes = 2 << 10
)

func newOutput() output { return output{grown: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.head = append(o.head, p[:min(len(p), headBytes-len(o.head))]...)
	o.tail = append(o.tail, p...)
	o.tail = o.tail[max(len(o.tail)-tailBytes, 0):]
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) find(pattern *regexp.Regexp) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return pattern.FindStringSubmatch(string(o.head))
}

func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(o.tail), ""))
}
