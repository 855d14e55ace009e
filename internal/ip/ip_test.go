package ip_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/ip"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is a Service on a database with two accounts.
type world struct {
	*ip.Service
	t        *testing.T
	db       *sqlite.DB
	accounts [2]int32
}

func newWorld(t *testing.T, configured ...string) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.db, err = sqlite.Open(t.Context(), sqlitetest.Dir(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	for i := range w.accounts {
		a := &directory.Account{Name: fmt.Sprint("account ", i), KeyHash: directory.KeyHash{byte(i + 1)}, SealedKey: []byte{1}, Created: now}
		sub := &directory.SubAccount{Name: "default", Default: true, KeyHash: directory.KeyHash{byte(i + 11)}, SealedKey: []byte{1}, Created: now}
		if err := w.db.CreateAccount(t.Context(), a, sub); err != nil {
			t.Fatal(err)
		}
		w.accounts[i] = a.ID
	}
	w.configure(configured...)
	return w
}

// configure starts the service anew, with these IPs.
func (w *world) configure(addresses ...string) {
	w.t.Helper()
	servers := ip.Servers{}
	for _, a := range addresses {
		servers[a] = provider.Connection{Endpoint: "smtp://" + a}
	}
	dir, err := directory.Open(w.t.Context(), ip.Loader{Loader: w.db, Servers: servers})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Service = ip.New(ip.Config{Directory: dir, Store: w.db, Servers: servers, Now: func() time.Time { return now }})
}

func (w *world) adopt() string {
	w.t.Helper()
	n, err := w.Adopt(w.t.Context(), w.accounts[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(n, " ", w.addresses(0))
}

func (w *world) addresses(account int) (list []string) {
	for _, t := range w.IPs(w.accounts[account], "") {
		list = append(list, t.Name)
	}
	return list
}

func TestAdoption(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "203.0.113.8", "203.0.113.7", "203.0.113.9")
	if _, err := w.Allocate(t.Context(), w.accounts[1], []string{"203.0.113.9"}); err != nil {
		t.Fatal(err)
	}
	if got := w.adopt(); got != "2 [203.0.113.7 203.0.113.8]" {
		t.Errorf("adopted %s", got)
	}
	if got := w.adopt(); got != "0 [203.0.113.7 203.0.113.8]" {
		t.Errorf("again: %s", got)
	}
	if _, err := w.Delete(t.Context(), w.accounts[0], w.IPs(w.accounts[0], "")[0].IPID(), false); err != nil {
		t.Fatal(err)
	}
	w.configure("203.0.113.7", "203.0.113.8", "203.0.113.9", "203.0.113.10")
	if got := w.adopt(); got != "1 [203.0.113.8 203.0.113.10]" {
		t.Errorf("one that was given back, and a new one: %s", got)
	}
}

func TestAllocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "203.0.113.7", "203.0.113.8", "2001:db8::7")
	list, err := w.Allocate(t.Context(), w.accounts[0], []string{" 2001:DB8:0:0::7 ", "203.0.113.7"})
	if err != nil || len(list) != 2 || list[0].Name != "2001:db8::7" || list[1].Name != "203.0.113.7" || !list[0].Created.Equal(now) {
		t.Fatalf("%+v, %v", list, err)
	}
	for name, test := range map[string]struct {
		account   int
		addresses []string
		code      string // of a FieldError
		words     string
	}{
		"none":       {0, nil, "missing_ip", "name"},
		"no address": {0, []string{"203.0.113.8", "smarthost"}, "invalid_ip", "smarthost"},
		"a network":  {0, []string{"203.0.113.0/24"}, "invalid_ip", "203.0.113.0/24"},
		"any":        {0, []string{"0.0.0.0"}, "invalid_ip", "0.0.0.0"},
		"twice":      {0, []string{"203.0.113.8", "::ffff:203.0.113.8"}, "duplicate_ip", "203.0.113.8"},
		"unknown":    {0, []string{"203.0.113.8", "198.51.100.1"}, "unknown_ip", "198.51.100.1"},
		"too many":   {0, make([]string, ip.MostAtOnce+1), "too_many_ips", "1000"},
		"own":        {0, []string{"203.0.113.8", "203.0.113.7"}, "", "203.0.113.7 is allocated to this account"},
		"another's":  {1, []string{"203.0.113.8", "203.0.113.7"}, "", "203.0.113.7 is allocated to another account"},
	} {
		_, err := w.Allocate(t.Context(), w.accounts[test.account], test.addresses)
		bad, _ := errors.AsType[*mail.FieldError](err)
		taken, isTaken := errors.AsType[*ip.TakenError](err)
		switch {
		case test.code != "" && (bad == nil || bad.Code != test.code || bad.Field != "ips" || !strings.Contains(bad.Message, test.words)):
			t.Errorf("%s: %v, want %s with %q", name, err, test.code, test.words)
		case test.code == "" && (!isTaken || !strings.Contains(taken.Error(), test.words)):
			t.Errorf("%s: %v, want %q", name, err, test.words)
		}
	}
	if got := fmt.Sprint(w.addresses(0), w.addresses(1)); got != "[2001:db8::7 203.0.113.7] []" {
		t.Errorf("allocated: %s", got)
	}
	if got := w.IPs(w.accounts[0], "DB8"); len(got) != 1 || got[0].Name != "2001:db8::7" {
		t.Errorf("found %v", got)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "203.0.113.7")
	w.adopt()
	one := w.IPs(w.accounts[0], "")[0]
	conn, err := w.Connection(one)
	if err != nil || conn.Endpoint != "smtp://203.0.113.7" || conn.AccountID != w.accounts[0] || conn.TPSPID != one.ID || one.Away(now) != "" {
		t.Errorf("%+v, %v, away %q", conn, err, one.Away(now))
	}
	w.configure()
	gone := w.IPs(w.accounts[0], "")[0]
	if _, err := w.Connection(gone); err == nil || gone.IPID() != one.IPID() || !strings.Contains(gone.Away(now), "not in the server's configuration") {
		t.Errorf("%v, away %q", err, gone.Away(now))
	}
	w.configure("203.0.113.7")
	if got := w.adopt(); got != "0 [203.0.113.7]" || w.IPs(w.accounts[0], "")[0].Away(now) != "" {
		t.Errorf("back: %s", got)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "203.0.113.7")
	w.adopt()
	id, yes, policy := w.IPs(w.accounts[0], "")[0].IPID(), true, directory.AtMostOnce
	if _, err := w.Update(t.Context(), w.accounts[1], id, ip.Changes{Active: &yes}); !errors.Is(err, ip.ErrNotFound) {
		t.Errorf("another account: %v", err)
	}
	limits := func(per int) func(*limit.Limits) error {
		return func(l *limit.Limits) error {
			l.PerHour, l.Mailbox = per, map[mailbox.Class]int{mailbox.Gmail: 5, mailbox.Yahoo: 0}
			return nil
		}
	}
	if _, err := w.Update(t.Context(), w.accounts[0], id, ip.Changes{Limits: limits(-1)}); err == nil {
		t.Error("a limit below 0")
	}
	no := false
	got, err := w.Update(t.Context(), w.accounts[0], id, ip.Changes{AutoWarmup: &yes, Active: &no, Policy: &policy, Limits: limits(50)})
	if err != nil {
		t.Fatal(err)
	}
	want := limit.Limits{PerHour: 50, Mailbox: map[mailbox.Class]int{mailbox.Gmail: 5}}
	if !got.AutoWarmup || !got.Paused || got.Policy != policy || !cmp.Equal(want, got.Limits) || got.Away(now) != "the IP is paused" {
		t.Errorf("%+v", got)
	}
	if got, err = w.Update(t.Context(), w.accounts[0], id, ip.Changes{Active: &yes}); err != nil || got.Paused || !got.AutoWarmup || got.Limits.PerHour != 50 {
		t.Errorf("what is absent stays: %+v, %v", got, err)
	}
	if got, err = w.Drill(t.Context(), w.accounts[0], id, time.Minute); err != nil || !strings.Contains(got.Away(now), "an outage of the IP is rehearsed") {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = w.Drill(t.Context(), w.accounts[0], id, 0); err != nil || got.Away(now) != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "203.0.113.7")
	w.adopt()
	one := w.IPs(w.accounts[0], "")[0]
	if err := w.db.CreatePool(t.Context(), &route.Pool{AccountID: w.accounts[0], Name: "own", Members: []route.Egress{one.Egress()}, Created: now}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Delete(t.Context(), w.accounts[1], one.IPID(), true); !errors.Is(err, ip.ErrNotFound) {
		t.Errorf("another account: %v", err)
	}
	_, err := w.Delete(t.Context(), w.accounts[0], one.IPID(), false)
	if used, ok := errors.AsType[*ip.PoolsError](err); !ok || !strings.Contains(used.Error(), `"own"`) || !strings.Contains(used.Error(), "203.0.113.7") {
		t.Errorf("the only one of a pool: %v", err)
	}
	if _, err := w.Delete(t.Context(), w.accounts[0], one.IPID(), true); err != nil {
		t.Error(err)
	}
	if _, err := w.Delete(t.Context(), w.accounts[0], one.IPID(), true); !errors.Is(err, ip.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if list, err := w.Allocate(t.Context(), w.accounts[1], []string{"203.0.113.7"}); err != nil || list[0].IPID() == one.IPID() {
		t.Errorf("%+v, %v", list, err)
	}
}
