package sendgrid_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/sendgrid"
)

func classes(outcomes []provider.Outcome) (list []string) {
	for _, o := range outcomes {
		list = append(list, o.Class.String())
	}
	return list
}

// Messages that are alike share a call, each with its own recipients, copies and ids.
func TestSendTogether(t *testing.T) {
	t.Parallel()
	batch := outgoing(3, plain())
	copied := *plain() // equal, and not the same
	batch[1].Content = &copied
	batch[1].Recipient.CC = []mail.Address{{Email: "cc@recipient.example"}}
	batch[2].Recipient.BCC = []mail.Address{{Email: "bcc@recipient.example"}}
	batch[2].Mailbox = "yahoo"
	var rec recorder
	outcomes := newAdapter(t).Send(t.Context(), accepting(t, &rec), batch)
	requests := rec.all()
	if len(requests) != 1 {
		t.Fatalf("%d calls", len(requests))
	}
	got := requests[0].wire(t)
	if len(got.Personalizations) != 3 {
		t.Fatalf("%d personalizations", len(got.Personalizations))
	}
	for i, p := range got.Personalizations {
		if len(p.To) != 1 || p.To[0].Email != batch[i].Recipient.Email || p.CustomArgs["messageId"] != batch[i].ID.String() ||
			p.CustomArgs["emailType"] != string(batch[i].Mailbox) {
			t.Errorf("%d: %+v", i, p)
		}
		if (len(p.CC) == 1) != (i == 1) || (len(p.BCC) == 1) != (i == 2) {
			t.Errorf("%d has the copies of another one: %+v", i, p)
		}
	}
	for i, o := range outcomes {
		if o.Class != provider.Accepted || o.ProviderMessageID != "mid-"+batch[0].ID.String() {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
}

// Whatever personalizations share must be equal, or there are two calls.
func TestSendApart(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *mail.Content){
		"subject":     func(c *mail.Content) { c.Subject = "Another" },
		"text":        func(c *mail.Content) { c.Text = "Another" },
		"html":        func(c *mail.Content) { c.HTML = "<p>Another</p>" },
		"preheader":   func(c *mail.Content) { c.HTML, c.PreText = "<p>x</p>", "Another" },
		"from":        func(c *mail.Content) { c.From.Name = "Another" },
		"reply_to":    func(c *mail.Content) { c.ReplyTo = &mail.Address{Email: "another@example.com"} },
		"header":      func(c *mail.Content) { c.Headers = map[string]string{"X-Another": "1"} },
		"group":       func(c *mail.Content) { c.Groups = []string{"another"} },
		"file":        func(c *mail.Content) { c.Attachments = []mail.Attachment{{Filename: "a.txt", Content: "QQ=="}} },
		"track opens": func(c *mail.Content) { c.TrackOpens = no() },
		"clicks":      func(c *mail.Content) { c.TrackClicks = yes() },
		"pool":        func(c *mail.Content) { c.TPSPPool = "another" },
	} {
		batch := outgoing(4, plain())
		changed := *plain()
		change(&changed)
		batch[1].Content, batch[3].Content = &changed, &changed
		requests := sent(t, batch)
		if len(requests) != 2 {
			t.Errorf("%s: %d calls", name, len(requests))
			continue
		}
		for i, want := range [][]int{{0, 2}, {1, 3}} {
			var got, ids []string
			for _, p := range requests[i].wire(t).Personalizations {
				got = append(got, p.CustomArgs["messageId"])
			}
			for _, k := range want {
				ids = append(ids, batch[k].ID.String())
			}
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("%s, call %d (-want +got):\n%s", name, i, diff)
			}
		}
	}
}

// Metadata is a message's own, so it needs no call of its own.
func TestMetadataDoesNotPart(t *testing.T) {
	t.Parallel()
	batch := outgoing(2, plain())
	other := *plain()
	other.Headers = map[string]string{"TPSP_METADATA_order": "7"}
	batch[1].Content = &other
	requests := sent(t, batch)
	if len(requests) != 1 {
		t.Fatalf("%d calls", len(requests))
	}
	got := requests[0].wire(t).Personalizations
	if got[0].CustomArgs["order"] != "" || got[1].CustomArgs["order"] != "7" {
		t.Errorf("%+v", got)
	}
}

// A call has 1,000 recipients at most, copies counted.
func TestSendManyRecipients(t *testing.T) {
	t.Parallel()
	batch := outgoing(45, plain())
	for i := range batch {
		for k := range 49 {
			batch[i].Recipient.BCC = append(batch[i].Recipient.BCC, mail.Address{Email: fmt.Sprintf("copy%d@recipient%d.example", k, i)})
		}
	}
	var sizes []int
	for _, r := range sent(t, batch) {
		sizes = append(sizes, len(r.wire(t).Personalizations))
	}
	if diff := cmp.Diff([]int{20, 20, 5}, sizes); diff != "" {
		t.Error(diff)
	}
}

// Calls stay below the limit in bytes; what is too large by itself is for another provider.
func TestSendLarge(t *testing.T) {
	t.Parallel()
	const limit = 2000
	adapter := newAdapter(t)
	adapter.SetBodyLimit(limit)
	var rec recorder
	conn := accepting(t, &rec)
	large := plain()
	large.Text = strings.Repeat("x", limit)
	batch := append(outgoing(20, plain()), outgoing(1, large)...)
	outcomes := adapter.Send(t.Context(), conn, batch)
	for i, o := range outcomes[:20] {
		if o.Class != provider.Accepted {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	if o := outcomes[20]; o.Class != provider.Rejected || !o.Elsewhere || !o.Unsent || o.Text == "" {
		t.Errorf("too large: %+v", o)
	}
	calls, messages := rec.all(), 0
	for _, r := range calls {
		messages += len(r.wire(t).Personalizations)
		if len(r.body) > limit {
			t.Errorf("a call of %d bytes", len(r.body))
		}
	}
	if len(calls) < 2 || messages != 20 {
		t.Errorf("%d messages in %d calls", messages, len(calls))
	}
}

// What has nothing to show after its tags were filled in is not offered: SendGrid would refuse it.
func TestSendNothingToShow(t *testing.T) {
	t.Parallel()
	empty, nameless := plain(), plain()
	empty.Text, nameless.Subject = "", ""
	batch := slices.Concat(outgoing(1, empty), outgoing(1, plain()), outgoing(1, nameless))
	var rec recorder
	outcomes := newAdapter(t).Send(t.Context(), accepting(t, &rec), batch)
	if diff := cmp.Diff([]string{"rejected", "accepted", "rejected"}, classes(outcomes)); diff != "" || len(rec.all()) != 1 {
		t.Errorf("%d calls\n%s", len(rec.all()), diff)
	}
	if !outcomes[0].Elsewhere || !outcomes[0].Unsent {
		t.Errorf("%+v", outcomes[0])
	}
}

// One bad address refuses the whole call, and says so; the halves of it find out which one it was.
func TestSendWholeCall(t *testing.T) {
	t.Parallel()
	refused := map[string]bool{"user2@recipient.example": true}
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) { playSend(w, r, refused) }))
	batch := outgoing(4, plain())
	adapter := newAdapter(t)
	for i, o := range adapter.Send(t.Context(), conn, batch) {
		if o.Class != provider.Rejected || !o.WholeCall || !strings.Contains(o.Text, "valid address") {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	if o := adapter.Send(t.Context(), conn, batch[2:3])[0]; o.Class != provider.Rejected || o.WholeCall {
		t.Errorf("alone: %+v", o)
	}
	if o := adapter.Send(t.Context(), conn, batch[:2]); o[0].Class != provider.Accepted || o[1].Class != provider.Accepted {
		t.Errorf("the others: %+v", o)
	}
}

// distinct returns messages of which none is like another.
func distinct(n int) []provider.Outgoing {
	batch := outgoing(n, nil)
	for i := range batch {
		batch[i].Content = plain()
		batch[i].Content.Subject = fmt.Sprintf("Message %d", i)
	}
	return batch
}

// When SendGrid wants nothing of the connection, the rest of a batch is kept back; when it is about one message, it is not.
func TestSendStops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status  int
		message string
		calls   int
		want    []string
	}{
		"throttled":      {429, "too many requests", 2, []string{"accepted", "throttled", "throttled", "throttled"}},
		"key":            {401, "The provided authorization grant is invalid, expired, or revoked", 2, []string{"accepted", "account", "account", "account"}},
		"unavailable":    {503, "", 2, []string{"accepted", "transient", "transient", "transient"}},
		"sender":         {403, "The from address does not match a verified Sender Identity.", 4, []string{"accepted", "account", "accepted", "accepted"}},
		"rejected":       {400, "Bad Request", 4, []string{"accepted", "rejected", "accepted", "accepted"}},
		"internal error": {500, "", 4, []string{"accepted", "ambiguous", "accepted", "accepted"}},
	} {
		var rec recorder
		conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(string(rec.all()[len(rec.all())-1].body), "Message 1") {
				refuse(w, test.status, test.message, "")
				return
			}
			playSend(w, r, nil)
		})))
		outcomes := newAdapter(t).Send(t.Context(), conn, distinct(4))
		if diff := cmp.Diff(test.want, classes(outcomes)); diff != "" || len(rec.all()) != test.calls {
			t.Errorf("%s: %d calls, want %d\n%s", name, len(rec.all()), test.calls, diff)
		}
		for i, o := range outcomes {
			if o.Unwritten != (i > 1 && test.calls == 2) {
				t.Errorf("%s, outcome %d: %+v", name, i, o)
			}
		}
	}
}

// What has not left when the time is over was never sent.
func TestSendEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rec recorder
	conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		playSend(w, r, nil)
		cancel()
	})))
	outcomes := newAdapter(t).Send(ctx, conn, distinct(3))
	for i, o := range outcomes[1:] {
		if o.Class != provider.Transient || !o.Unsent {
			t.Errorf("outcome %d: %+v", i+1, o)
		}
	}
	if len(rec.all()) != 1 {
		t.Errorf("%d calls", len(rec.all()))
	}
}

// A connection that cannot work costs no call.
func TestSendUnusable(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *provider.Connection){
		"no key":   func(c *provider.Connection) { c.Key = secretOf("") },
		"bad key":  func(c *provider.Connection) { c.Key = secretOf("two words") },
		"endpoint": func(c *provider.Connection) { c.Endpoint = "gopher://x" },
	} {
		conn := connection("http://127.0.0.1:1")
		change(&conn)
		for i, o := range newAdapter(t).Send(t.Context(), conn, distinct(2)) {
			if o.Class != provider.Account || o.Text == "" {
				t.Errorf("%s, outcome %d: %+v", name, i, o)
			}
		}
	}
}

// Every message of a batch leaves once, in a call with those that are like it, and nobody's address is in another one's part.
func TestSendOnce(t *testing.T) {
	t.Parallel()
	adapter := newAdapter(t)
	rapid.Check(t, func(rt *rapid.T) {
		var rec recorder
		conn := accepting(t, &rec)
		batch := outgoing(rapid.IntRange(1, 30).Draw(rt, "messages"), nil)
		for i := range batch {
			batch[i].Content = plain()
			batch[i].Content.Subject = fmt.Sprintf("Kind %d", rapid.IntRange(0, 3).Draw(rt, "kind"))
			for range rapid.IntRange(0, 3).Draw(rt, "copies") {
				name := rapid.SampledFrom([]string{"cc", "Cc", "bob"}).Draw(rt, "copy")
				batch[i].Recipient.CC = append(batch[i].Recipient.CC, mail.Address{Email: fmt.Sprintf("%s@%d.example", name, i)})
			}
		}
		if o := adapter.Send(t.Context(), conn, batch); len(o) != len(batch) || slices.ContainsFunc(o, func(o provider.Outcome) bool { return o.Class != provider.Accepted }) {
			rt.Fatalf("%+v", o)
		}
		byID := map[string]*provider.Outgoing{}
		for i := range batch {
			byID[batch[i].ID.String()] = &batch[i]
		}
		subjects := map[string]bool{}
		for _, r := range rec.all() {
			call := r.wire(t)
			if subjects[call.Subject] {
				rt.Fatalf("two calls for %q", call.Subject)
			}
			subjects[call.Subject] = true
			for _, p := range call.Personalizations {
				out := byID[p.CustomArgs["messageId"]]
				if out == nil || out.Content.Subject != call.Subject || p.To[0].Email != out.Recipient.Email {
					rt.Fatalf("%+v of %+v", p, out)
				}
				delete(byID, out.ID.String())
				seen := map[string]bool{}
				for _, a := range slices.Concat(p.To, p.CC, p.BCC) {
					if seen[strings.ToLower(a.Email)] || out.Recipient.AddressOf(a.Email).Email == "" {
						rt.Fatalf("%+v", p)
					}
					seen[strings.ToLower(a.Email)] = true
				}
				for _, a := range out.Recipient.CC {
					if !seen[strings.ToLower(a.Email)] {
						rt.Fatalf("%s is missing in %+v", a.Email, p)
					}
				}
			}
		}
		if len(byID) > 0 {
			rt.Fatalf("%d messages did not leave", len(byID))
		}
	})
}

// A call that would be cut off by the end of the context does not begin: what is in doubt may be sent twice.
func TestSendInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		adapter := sendgrid.New(sendgrid.Config{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
			calls++
			select {
			case <-time.After(7 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{"X-Message-Id": {"m"}}, Body: http.NoBody}, nil
		})})
		batch := outgoing(20, plain())
		for i := range batch {
			own := *batch[i].Content
			own.Subject = strconv.Itoa(i)
			batch[i].Content = &own
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i, o := range adapter.Send(ctx, connection("http://sendgrid.example"), batch) {
			if sent := o.Class == provider.Accepted; sent != (i < calls) || !sent && (o.Class != provider.Transient || !o.Unsent) {
				t.Errorf("%d after %d calls: %+v", i, calls, o)
			}
		}
		if calls != 7 {
			t.Errorf("%d calls", calls)
		}
	})
}

// transport is a RoundTripper.
type transport func(r *http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
