package providertest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

// hook is a webhook for adapters whose account the harness does not play.
func hook() provider.Hook {
	return provider.Hook{
		URL:         "https://postyard.example/tpsp/provider/account/1",
		Credentials: provider.Credentials{Username: "postyard", Password: secret.NewString("hook-password")},
	}
}

// account starts a provider's side of one account; nil for a silent adapter, after the proof that it has nothing to register.
func (h Harness) account(t *testing.T) (*Account, provider.Adapter) {
	t.Helper()
	adapter := h.adapter(t)
	if !adapter.Capabilities().Silent {
		return h.SetUp(t), adapter
	}
	for _, ref := range []string{"", "anything"} {
		hook := hook()
		hook.Ref = ref
		hook.Keep = func(string) error { t.Error("Keep was called"); return nil }
		hook.Broken = func() error { t.Error("Broken was called"); return nil }
		if ref, changed, err := adapter.Register(t.Context(), h.down(t), hook); ref != "" || changed || err != nil {
			t.Errorf("Register of a silent adapter: %q, %t, %v", ref, changed, err)
		}
		if err := adapter.Unregister(t.Context(), h.down(t), hook); err != nil {
			t.Errorf("Unregister of a silent adapter: %v", err)
		}
	}
	return nil, adapter
}

// register registers a webhook, and returns it as it is kept then.
func register(t *testing.T, a provider.Adapter, account *Account, hook provider.Hook) provider.Hook {
	t.Helper()
	ref, _, err := a.Register(t.Context(), account.Conn, hook)
	if err != nil || ref == "" {
		t.Fatalf("Register = %q, %v", ref, err)
	}
	hook.Ref = ref
	return hook
}

func testRightKey(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	conn := h.serve(t, nil)
	if account != nil {
		conn = account.Conn
	}
	if err := adapter.Check(t.Context(), conn); err != nil {
		t.Errorf("Check: %v", err)
	}
	if account != nil && (account.Writes() != 0 || len(account.State()) != 0) {
		t.Errorf("Check changes something: %d writes, %q", account.Writes(), account.State())
	}
	if i, ok := adapter.(provider.Identifier); ok && account != nil {
		one, err := i.Identify(t.Context(), conn)
		two, err2 := i.Identify(t.Context(), conn)
		if one == "" || one != two || err != nil || err2 != nil {
			t.Errorf("Identify: %q, %v; again %q, %v", one, err, two, err2)
		}
	}
}

// steps are the steps of set-up that ask the provider.
func (h Harness) steps(t *testing.T, ctx context.Context, conn provider.Connection) map[string]error {
	t.Helper()
	adapter := h.adapter(t)
	errs := map[string]error{"Check": adapter.Check(ctx, conn)}
	if adapter.Capabilities().Silent {
		h.account(t)
		return errs
	}
	account := h.SetUp(t)
	known := register(t, adapter, account, account.Hook)
	_, _, errs["Register"] = adapter.Register(ctx, conn, account.Hook)
	_, _, errs["Register again"] = adapter.Register(ctx, conn, known)
	errs["Unregister"] = adapter.Unregister(ctx, conn, known)
	if i, ok := adapter.(provider.Identifier); ok {
		_, errs["Identify"] = i.Identify(ctx, conn)
	}
	return errs
}

func testWrongKey(t *testing.T, h Harness) {
	for step, err := range h.steps(t, t.Context(), h.connection(h.Wire.Locked(t))) {
		if refusal := refused(t, err, false); refusal.Field != provider.FieldKey && refusal.Field != provider.FieldSecret {
			t.Errorf("%s: the %q is refused: %s", step, refusal.Field, refusal.Message)
		}
	}
}

func testDown(t *testing.T, h Harness) {
	for step, err := range h.steps(t, t.Context(), h.down(t)) {
		if refusal := refused(t, err, true); refusal.Code != provider.CodeUnreachable {
			t.Errorf("%s: %+v", step, refusal)
		}
	}
}

func testUnavailable(t *testing.T, h Harness) {
	for step, err := range h.steps(t, t.Context(), h.connection(h.Wire.Unavailable(t))) {
		if refusal := refused(t, err, true); refusal.Code != provider.CodeUnavailable {
			t.Errorf("%s: %+v", step, refusal)
		}
	}
}

func testSetUpCancelled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	conn := h.serve(t, nil)
	for step, err := range h.steps(t, ctx, conn) {
		refusal, ok := errors.AsType[*provider.SetupError](err)
		if err == nil || ok && !refusal.Retry {
			t.Errorf("%s: %v", step, err)
		}
	}
}

func testRegisters(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	ref, changed, err := adapter.Register(t.Context(), account.Conn, account.Hook)
	if err != nil || ref == "" || !changed {
		t.Fatalf("Register = %q, %t, %v", ref, changed, err)
	}
	if len(account.State()) == 0 || !account.Live() {
		t.Errorf("nothing stands there: %q, live: %t", account.State(), account.Live())
	}
	hidden(t, ref)
}

func testRegistersAgain(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	known := register(t, adapter, account, account.Hook)
	state, writes := account.State(), account.Writes()
	known.Broken = func() error { t.Error("Broken was called for what stands as it should"); return nil }
	for range 2 {
		ref, changed, err := adapter.Register(t.Context(), account.Conn, known)
		if err != nil || ref != known.Ref || changed {
			t.Errorf("Register again = %q, %t, %v; it was %q", ref, changed, err, known.Ref)
		}
	}
	if n := account.Writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	if diff := cmp.Diff(state, account.State()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// testDisturbed has somebody disturb what stands there, and the adapter put it right.
func testDisturbed(t *testing.T, h Harness, disturb func(*Account)) {
	t.Helper()
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	known := register(t, adapter, account, account.Hook)
	state := account.State()
	disturb(account)
	if slices.Equal(state, account.State()) {
		t.Fatal("the harness disturbs nothing")
	}
	again := known
	ref, _, err := adapter.Register(t.Context(), account.Conn, again)
	if err != nil || ref == "" {
		t.Fatalf("Register = %q, %v", ref, err)
	}
	if diff := cmp.Diff(state, account.State()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	// And that is all that there was to do.
	again.Ref = ref
	if other, changed, err := adapter.Register(t.Context(), account.Conn, again); err != nil || other != ref || changed {
		t.Errorf("Register again = %q, %t, %v; it was %q", other, changed, err, ref)
	}
}

func testRepairs(t *testing.T, h Harness) {
	testDisturbed(t, h, func(a *Account) { a.Spoil() })
}

func testPutsBack(t *testing.T, h Harness) {
	testDisturbed(t, h, func(a *Account) { a.Remove() })
}

// testRemovesCopies: a copy doubles every event. Where there can be none, a webhook that was lost sight of is found again instead of made
// anew.
func testRemovesCopies(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	if account.Double != nil {
		testDisturbed(t, h, func(a *Account) { a.Double() })
	}
	register(t, adapter, account, account.Hook)
	state := account.State()
	register(t, adapter, account, account.Hook) // without a ref, as after a crash
	if diff := cmp.Diff(state, account.State()); diff != "" {
		t.Errorf("registered without its ref (-before +after):\n%s", diff)
	}
}

func testLeavesOthers(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	account.Foreign()
	others := account.State()
	if len(others) == 0 {
		t.Fatal("the harness has no others")
	}
	known := register(t, adapter, account, account.Hook)
	both := account.State()
	for _, other := range others {
		if !slices.Contains(both, other) {
			t.Errorf("registering ours changed %s", other)
		}
	}
	account.Spoil()
	register(t, adapter, account, known)
	if diff := cmp.Diff(both, account.State()); diff != "" {
		t.Errorf("repairing ours (-before +after):\n%s", diff)
	}
	if err := adapter.Unregister(t.Context(), account.Conn, known); err != nil {
		t.Fatalf("Unregister: %v", err)
	}
	if diff := cmp.Diff(others, account.State()); diff != "" {
		t.Errorf("removing ours (-before +after):\n%s", diff)
	}
}

// testBroken: that events may be lost is recorded before the webhook is put right, or it would be lost itself.
func testBroken(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	full := errors.New("the disk is full")
	known := register(t, adapter, account, account.Hook)
	account.Spoil()
	state := account.State()
	known.Broken = func() error { return full }
	if _, _, err := adapter.Register(t.Context(), account.Conn, known); !errors.Is(err, full) {
		t.Errorf("Register: %v", err)
	}
	if diff := cmp.Diff(state, account.State()); diff != "" {
		t.Errorf("put right although that could not be recorded (-before +after):\n%s", diff)
	}
	calls := 0
	known.Broken = func() error {
		calls++
		if diff := cmp.Diff(state, account.State()); diff != "" {
			t.Errorf("put right before that was recorded (-before +after):\n%s", diff)
		}
		return nil
	}
	if _, changed, err := adapter.Register(t.Context(), account.Conn, known); err != nil || !changed || calls == 0 {
		t.Errorf("Register: %t, %v; Broken was called %d times", changed, err, calls)
	}
}

// testKeeps: a ref that is needed to tell who calls is kept before the provider calls. Where it is not needed, a call is told without it.
func testKeeps(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	hooks := h.Hooks(t)
	without := hooks.Ours
	without.Ref = ""
	if ok, err := adapter.Authentic(t.Context(), hooks.Conn, without, hooks.Deliver(hooks.Ours, h.Fixtures[0].Body)); err != nil {
		t.Errorf("a call before the ref is known: %v", err)
	} else if ok {
		if hooks.NeedsRef {
			t.Error("a call is believed without the ref")
		}
		return
	}
	full := errors.New("the disk is full")
	unkept := account.Hook
	unkept.Keep = func(string) error { return full }
	if _, _, err := adapter.Register(t.Context(), account.Conn, unkept); !errors.Is(err, full) {
		t.Errorf("Register: %v", err)
	}
	if account.Live() {
		t.Error("the provider calls, although the ref could not be kept")
	}
	kept := ""
	fresh := account.Hook
	fresh.Keep = func(ref string) error {
		if kept == "" && account.Live() {
			t.Error("the provider may call before the ref is kept")
		}
		kept = ref
		return nil
	}
	if ref, _, err := adapter.Register(t.Context(), account.Conn, fresh); err != nil || ref != kept || kept == "" {
		t.Errorf("Register = %q, %v; %q was kept", ref, err, kept)
	}
	if !account.Live() {
		t.Error("the provider does not call")
	}
}

func testUnregisters(t *testing.T, h Harness) {
	account, adapter := h.account(t)
	if account == nil {
		return
	}
	known := register(t, adapter, account, account.Hook)
	if account.Double != nil {
		account.Double()
	}
	for range 2 {
		if err := adapter.Unregister(t.Context(), account.Conn, known); err != nil {
			t.Fatalf("Unregister: %v", err)
		}
		if left := account.State(); len(left) != 0 || account.Live() {
			t.Errorf("left: %q, live: %t", left, account.Live())
		}
	}
	if err := adapter.Unregister(t.Context(), account.Conn, account.Hook); err != nil {
		t.Errorf("Unregister without a ref: %v", err)
	}
}
