package accept_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	b := simple(t)
	results := b.mustAccept(request(func(r *accept.Request) {
		r.Content.From = mail.Address{Email: " Shop@EXAMPLE.com", Name: "Shop"}
		r.Content.ReplyTo = &mail.Address{Email: "help@BÜCHER.example"}
		r.Content.Pool, r.Content.Template = " postmark-pool ", " welcome "
		r.Content.CustomFields = json.RawMessage(" null ")
		r.Recipients = []mail.Recipient{{Address: mail.Address{Email: "Ada@GMAIL.com ", Name: "Ada"},
			CC: []mail.Address{{Email: "C@B.ORG"}}, BCC: []mail.Address{{Email: "D@B.ORG"}}, CustomFields: json.RawMessage(` {"a":1}`)}}
	}))
	got := b.books.messages()[0]
	wantContent := mail.Content{From: mail.Address{Email: "Shop@example.com", Name: "Shop"}, ReplyTo: &mail.Address{Email: "help@xn--bcher-kva.example"},
		Subject: "Hello", Pool: "postmark-pool", Template: "welcome"}
	wantRecipient := mail.Recipient{Address: mail.Address{Email: "Ada@gmail.com", Name: "Ada"}, CC: []mail.Address{{Email: "C@b.org"}},
		BCC: []mail.Address{{Email: "D@b.org"}}, CustomFields: json.RawMessage(`{"a":1}`)}
	if diff := cmp.Diff(wantContent, got.Content); diff != "" {
		t.Errorf("content:\n%s", diff)
	}
	if diff := cmp.Diff(wantRecipient, got.Recipient); diff != "" {
		t.Errorf("recipient:\n%s", diff)
	}
	if got.AccountID != 1 || got.SubAccountID != 11 || !got.SubmittedAt.Equal(now) {
		t.Errorf("submission: %+v", got.Submission)
	}
	if m := got.NewMessage; m.To != "Ada@gmail.com" || m.Mailbox != mailbox.Gmail || m.PoolID != 31 || m.Spread || m.ID != results[0].ID || m.ID.Version() != 7 {
		t.Errorf("message: %+v", m)
	}
	if got.Processed != 69 || !slices.Equal(got.Planned.Plan.Egresses, []route.Egress{101}) {
		t.Errorf("planned: %+v", got.Planned)
	}
	if !slices.Equal(b.woken, []route.Egress{101}) {
		t.Errorf("woke %v", b.woken)
	}
}

func TestPoolChoice(t *testing.T) {
	t.Parallel()
	foreign := route.Pool{ID: 41, AccountID: 2, Name: "theirs", Members: []route.Egress{101}}
	one, other := pool(31, "one", 101), pool(32, "other", 101)
	standard := pool(33, "default", 101)
	for name, test := range map[string]struct {
		pools []route.Pool
		asked string
		want  int32
		code  string
	}{
		"by name":                 {[]route.Pool{one, other, standard}, "other", 32, ""},
		"by name, trimmed":        {[]route.Pool{one, other}, "  other\t", 32, ""},
		"a name that is not one":  {[]route.Pool{one, standard}, "another", 0, "unknown_ippool"},
		"in another case":         {[]route.Pool{one, standard}, "One", 0, "unknown_ippool"},
		"of another account":      {[]route.Pool{one, foreign}, "theirs", 0, "unknown_ippool"},
		"none named: the default": {[]route.Pool{one, other, standard}, "", 33, ""},
		"blank: the default":      {[]route.Pool{one, other, standard}, " ", 33, ""},
		"none named: the only":    {[]route.Pool{other, foreign}, "", 32, ""},
		"none named: which?":      {[]route.Pool{one, other}, "", 0, "missing_ippool"},
		"there is none":           {[]route.Pool{foreign}, "", 0, "no_ippool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, pools(test.pools...))
			req := request(func(r *accept.Request) { r.Content.Pool = test.asked })
			if test.code != "" {
				b.refuses(req, test.code, "ippool")
				return
			}
			b.mustAccept(req)
			if got := b.books.messages()[0].PoolID; got != test.want {
				t.Errorf("pool %d, want %d", got, test.want)
			}
		})
	}
}

func TestAnUnknownPoolIsNamed(t *testing.T) {
	t.Parallel()
	_, err := simple(t).accept(request(func(r *accept.Request) { r.Content.Pool = "nowhere" }))
	if err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("Accept = %v, want the pool's name in it", err)
	}
}

// A pool of two takes turns, and the family of the first egress gives the processed event its type.
func TestAPoolOfTwo(t *testing.T) {
	t.Parallel()
	b := start(t, pools(pool(31, "both", 101, 102)))
	b.mustAccept(request(func(r *accept.Request) { r.Recipients = slices.Repeat(r.Recipients, 2) }))
	b.mustAccept(request())
	for i, want := range []struct {
		plan      []route.Egress
		processed event.Type
	}{{[]route.Egress{101, 102}, 69}, {[]route.Egress{102, 101}, 0}, {[]route.Egress{101, 102}, 69}} {
		got := b.books.messages()[i]
		if !slices.Equal(got.Planned.Plan.Egresses, want.plan) || got.Processed != want.processed || !got.Spread {
			t.Errorf("message %d: %+v, want %+v", i, got.Planned, want)
		}
	}
	if !slices.Equal(b.woken, []route.Egress{101, 102, 101}) {
		t.Errorf("woke %v", b.woken)
	}
}

// An egress that cannot carry the message is passed over, with the reason; when none can, the first reason is the answer.
func TestRefusals(t *testing.T) {
	t.Parallel()
	noTemplate, tooLarge := mail.Invalid("missing_tpsp_template", "tpspTemplate", "a template is needed"), mail.Invalid("too_large", "attachments", "too large")
	for name, test := range map[string]struct {
		members            []route.Egress
		postmark, sendgrid *mail.FieldError
		plan               []route.Egress
		skipped            []route.Skipped
		code, field        string
	}{
		"the first cannot":    {[]route.Egress{101, 102}, noTemplate, nil, []route.Egress{102}, []route.Skipped{{Egress: 101, Reason: "a template is needed"}}, "", ""},
		"the second cannot":   {[]route.Egress{101, 102}, nil, tooLarge, []route.Egress{101}, []route.Skipped{{Egress: 102, Reason: "too large"}}, "", ""},
		"neither can":         {[]route.Egress{101, 102}, noTemplate, tooLarge, nil, nil, "missing_tpsp_template", "tpspTemplate"},
		"the other way round": {[]route.Egress{102, 101}, noTemplate, tooLarge, nil, nil, "too_large", "attachments"},
		"one was deleted":     {[]route.Egress{103, 101}, nil, nil, []route.Egress{101}, []route.Skipped{{Egress: 103, Reason: "it is not connected any more"}}, "", ""},
		"one is an IP":        {[]route.Egress{-1, 101}, nil, nil, []route.Egress{101}, []route.Skipped{{Egress: -1, Reason: "it is not connected any more"}}, "", ""},
		"one is of the future": {[]route.Egress{104, 101}, nil, nil, []route.Egress{101},
			[]route.Skipped{{Egress: 104, Reason: "this version does not know its kind of provider"}}, "", ""},
		"deleted and unable": {[]route.Egress{103, 101}, noTemplate, nil, nil, nil, "missing_tpsp_template", "tpspTemplate"},
		"all deleted":        {[]route.Egress{103}, nil, nil, nil, nil, "empty_ippool", "ippool"},
		"an empty pool":      {nil, nil, nil, nil, nil, "empty_ippool", "ippool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, pools(pool(31, "p", test.members...)), func(c *accept.Config) {
				c.Planner = planner(provider.Registry{
					provider.Postmark: carrier{family: event.Postmark, refuse: test.postmark},
					provider.SendGrid: carrier{family: event.SendGrid, refuse: test.sendgrid},
				})
			})
			if test.code != "" {
				b.refuses(request(), test.code, test.field)
				return
			}
			b.mustAccept(request())
			plan := b.books.messages()[0].Planned.Plan
			if !slices.Equal(plan.Egresses, test.plan) || !slices.Equal(plan.Skipped, test.skipped) {
				t.Errorf("plan %+v", plan)
			}
			if !slices.Equal(b.woken, test.plan[:1]) {
				t.Errorf("woke %v, want the first of %v", b.woken, test.plan)
			}
		})
	}
}

// Every family's processed event: its own where SendPost has one, else the native 0.
func TestProcessedTypes(t *testing.T) {
	t.Parallel()
	for family, want := range map[event.Family]event.Type{
		event.Postmark: 69, event.CustomSMTP: 58, event.Mailgun: 48, event.SendGrid: 0, event.AmazonSES: 0, event.SparkPost: 0,
	} {
		b := simple(t, func(c *accept.Config) {
			c.Planner = planner(provider.Registry{provider.Postmark: carrier{family: family}})
		})
		b.mustAccept(request())
		if got := b.books.messages()[0].Processed; got != want {
			t.Errorf("family %d: type %d, want %d", family, got, want)
		}
	}
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]*bench{
		"the disk is full":    simple(t, func(c *accept.Config) { c.Room = func() error { return errors.New("the disk is full") } }),
		"the backlog is full": backlogged(t, 10),
	} {
		results, err := b.accept(request())
		over, ok := errors.AsType[*accept.OverloadedError](err)
		if !ok || results != nil || over.RetryAfter <= 0 || over.Reason == "" {
			t.Errorf("%s: Accept = %+v, %v, want an OverloadedError", name, results, err)
		}
		b.storedNothing()
	}
	b := backlogged(t, 9)
	b.mustAccept(request())
	if len(b.books.messages()) != 1 {
		t.Error("a backlog below the limit refuses")
	}
}

// backlogged is a Service that may have ten messages pending.
func backlogged(t *testing.T, pending int64) *bench {
	t.Helper()
	b := simple(t, func(c *accept.Config) { c.MaxBacklog = 10 })
	b.books.backlog = pending
	return b
}

func TestTheStoreFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("constraint failed")
	for name, test := range map[string]struct {
		fail func(*bench)
		want error
	}{
		"away":                {func(b *bench) { b.books.err = store.ErrUnavailable }, store.ErrUnavailable},
		"away when asked":     {func(b *bench) { b.books.backlogErr = store.ErrUnavailable }, store.ErrUnavailable},
		"this request only":   {func(b *bench) { b.books.err = broken }, broken},
		"the Service is gone": {func(b *bench) { b.stop() }, store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := backlogged(t, 0)
			test.fail(b)
			if results, err := b.accept(request()); !errors.Is(err, test.want) || results != nil {
				t.Errorf("Accept = %+v, %v, want %v", results, err, test.want)
			}
			b.storedNothing()
		})
	}
}

// A caller that has left gets the reason; what it handed over is committed all the same, and its egress is woken.
func TestTheCallerHasLeft(t *testing.T) {
	t.Parallel()
	b := simple(t)
	b.books.mu.Lock() // the commit cannot end
	ctx, leave := context.WithCancelCause(t.Context())
	gone := errors.New("the client has hung up")
	leave(gone)
	_, err := b.Accept(ctx, &directory.SubAccount{ID: 11, AccountID: 1}, request())
	b.books.mu.Unlock()
	if !errors.Is(err, gone) {
		t.Errorf("Accept = %v, want %v", err, gone)
	}
	b.mustAccept(request()) // comes after it
	if len(b.books.messages()) != 2 || len(b.woken) == 0 {
		t.Errorf("stored %d messages, woke %v", len(b.books.messages()), b.woken)
	}
}

// A bad request stays a bad request while the store is away: nothing of it needs the store.
func TestABadRequestNeedsNoStore(t *testing.T) {
	t.Parallel()
	b := simple(t)
	b.books.err = store.ErrUnavailable
	b.refuses(request(func(r *accept.Request) { r.Recipients = nil }), "missing_recipients", "to")
}

// during runs something while a batch is being stored.
type during struct {
	accept.Store
	run func()
}

func (d during) Accept(ctx context.Context, batch []store.Submission) error {
	d.run()
	return d.Store.Accept(ctx, batch)
}

// TestPoolsChangeMeanwhile stores a request once, and says so, although by the time it is on disk its pool would not be found
// any more.
func TestPoolsChangeMeanwhile(t *testing.T) {
	t.Parallel()
	configured := pools(pool(31, "one", 101), route.Pool{ID: 32, AccountID: 2, Name: "other", Members: []route.Egress{101}})
	b := start(t, configured, func(c *accept.Config) {
		c.Store = during{c.Store, func() {
			configured.Pools[1].AccountID = 1
			if err := c.Directory.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}}
	})
	b.mustAccept(request(func(r *accept.Request) { r.Content.Pool = "" }))
	if n := len(b.books.messages()); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}

// gone is a store in which the pool of a request was deleted, for some calls.
type gone struct {
	accept.Store
	run  func()
	left int
}

func (g *gone) Accept(ctx context.Context, batch []store.Submission) error {
	if g.left == 0 {
		return g.Store.Accept(ctx, batch)
	}
	g.left--
	g.run()
	return fmt.Errorf("pool 31: %w", store.ErrNotFound)
}

// A pool that is deleted while a request is accepted is one that there is not, and not a page that is not found.
func TestThePoolIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	configured := pools(pool(31, "one", 101, 102), pool(32, "two", 101, 102))
	var reload func(int32)
	b := start(t, configured, func(c *accept.Config) {
		reload = func(left int32) {
			configured.Pools[0].AccountID = 2 - left // deleted, or another one was given its name
			if err := c.Directory.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
		c.Store = &gone{c.Store, func() { reload(0) }, 1}
	})
	asked := func(r *accept.Request) { r.Content.Pool = "one" }
	b.refuses(request(asked), "unknown_ippool", "ippool")
	reload(1)
	b.mustAccept(request(asked))

	b = simple(t, func(c *accept.Config) { c.Store = &gone{c.Store, func() {}, 2} })
	_, err := b.accept(request())
	if overloaded, ok := errors.AsType[*accept.OverloadedError](err); !ok || overloaded.RetryAfter <= 0 {
		t.Errorf("a pool that changes again and again: %v", err)
	}
	b.mustAccept(request())
}
