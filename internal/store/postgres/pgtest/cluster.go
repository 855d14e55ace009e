package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is one server with its data. Its port stays the same when it is started again.
type Cluster struct {
	Port      int
	dir       string
	binaries  string
	account   *syscall.Credential // whom the server runs as; nil is us
	server    *exec.Cmd           // nil while it does not run
	databases atomic.Int64
}

// start makes and starts a server.
func start() (c *Cluster, err error) {
	c = &Cluster{}
	if c.binaries, err = findBinaries(); err != nil {
		return nil, err
	}
	if c.account, err = unprivileged(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return nil, fmt.Errorf("test server: %w", err)
	}
	defer func() {
		if err != nil {
			c.discard()
		}
	}()
	if c.account != nil {
		if err := os.Chown(c.dir, int(c.account.Uid), int(c.account.Gid)); err != nil {
			return c, fmt.Errorf("test server: %w", err)
		}
	}
	if out, err := c.command("initdb", "-D", c.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return c, fmt.Errorf("test server: initdb: %w\n%s", err, out)
	}
	if c.Port, err = freePort(); err != nil {
		return c, err
	}
	if err := c.Start(); err != nil {
		return c, err
	}
	return c, c.prepare()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// command runs a program of PostgreSQL, which refuses to run as root. It ends when this process does.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.binaries, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Start starts the server and waits until it answers.
func (c *Cluster) Start() error {
	if c.server != nil {
		return errors.New("test server: it runs already")
	}
	cmd := c.command("postgres", "-D", c.data(), "-p", strconv.Itoa(c.Port), "-k", c.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "max_wal_size=1GB")
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("test server: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("test server: %w", err)
	}
	c.server = cmd
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			words, _ := os.ReadFile(log.Name())
			return fmt.Errorf("test server: it does not answer: %w\n%s", err, words)
		}
	}
}

// Stop shuts the server down; clients are cut off.
func (c *Cluster) Stop() error { return c.end(syscall.SIGINT) }

// Restart stops and starts the server.
func (c *Cluster) Restart() error { return errors.Join(c.Stop(), c.Start()) }

// Kill ends the server and all its processes at once, as a power cut does.
func (c *Cluster) Kill() error {
	if c.server == nil {
		return nil
	}
	pid := c.server.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // no new ones from here on
		return fmt.Errorf("test server: %w", err)
	}
	children := childrenOf(pid)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL) // it may have ended by itself
	}
	err := c.end(syscall.SIGKILL)
	for end := time.Now().Add(patience); slices.ContainsFunc(children, lives); {
		if time.Now().After(end) {
			return errors.New("test server: its processes do not end")
		}
		<-time.After(5 * time.Millisecond)
	}
	return err
}

func (c *Cluster) end(signal syscall.Signal) error {
	if c.server == nil {
		return nil
	}
	cmd := c.server
	c.server = nil
	if err := cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("test server: %w", err)
	}
	_ = cmd.Wait() // how a killed server ended says nothing
	return nil
}

// discard ends the server and removes its data.
func (c *Cluster) discard() {
	_ = c.end(syscall.SIGQUIT)
	_ = os.RemoveAll(c.dir)
}

// childrenOf returns the processes that a process started.
func childrenOf(parent int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if fields := statOf(pid); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
	}
	return children
}

// lives tells whether a process runs. One that nobody has asked for since it ended does not.
func lives(pid int) bool {
	fields := statOf(pid)
	return len(fields) > 0 && fields[0] != "Z"
}

// statOf returns what the kernel knows of a process, from its state on.
func statOf(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

// findBinaries looks for PostgreSQL where its packages put it; the newest version wins.
func findBinaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("test server: there is no PostgreSQL on this machine: install it (apt install postgresql), or put its initdb into PATH")
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// unprivileged returns whom to run a server as that root starts.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("test server: PostgreSQL does not run as root, and there is nobody else: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("test server: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("test server: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, fmt.Errorf("test server: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
