package track

import (
	"context"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// contents is a directory with a mail server and a Postmark server.
type contents struct{}

func (contents) LoadDirectory(context.Context) (directory.Contents, error) {
	return directory.Contents{TPSPs: []directory.TPSP{{ID: 1, AccountID: 7, Type: provider.CustomSMTP}, {ID: 2, AccountID: 7, Type: provider.Postmark}}}, nil
}

func (contents) DirectoryRevision(context.Context) (int64, error) { return 1, nil }

// carrier is an adapter of which only the capabilities matter.
type carrier struct {
	provider.Adapter
	capable provider.Capabilities
}

func (c carrier) Capabilities() provider.Capabilities { return c.capable }

var (
	plain    = provider.Capabilities{Family: event.CustomSMTP}
	tracking = provider.Capabilities{Family: event.Postmark, Tracks: true}
)

func newService(t *testing.T) *Service {
	t.Helper()
	d, err := directory.Open(t.Context(), contents{})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Key: []byte("key"), PublicURL: "https://post.example.com/", Directory: d,
		Providers: provider.Registry{provider.CustomSMTP: carrier{capable: plain}, provider.Postmark: carrier{capable: tracking}}})
}

const (
	relay    route.Egress = 1
	postmark route.Egress = 2
)

func job(c *mail.Content) *store.Job {
	return &store.Job{ID: sample.message, AccountID: 7, SubAccountID: 8, Content: c}
}

func TestOutgoing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	yes, no := true, false
	leave := regexp.MustCompile(`https://post\.example\.com/track/tpsp/unsubscribe/[\w-]+`)
	click := regexp.MustCompile(`https://post\.example\.com/track/tpsp/click/[\w-]+`)
	open := regexp.MustCompile(`<img src="https://post\.example\.com/track/tpsp/open/[\w-]+/1\.png"[^>]*>`)
	const link = `<a href="https://a.example">`
	for name, c := range map[string]struct {
		in      mail.Content
		egress  route.Egress
		capable provider.Capabilities
		want    mail.Content // with U, C and P for what is put in
	}{
		"nothing asked for": {mail.Content{HTML: link, Text: "x"}, relay, plain, mail.Content{HTML: link, Text: "x"}},
		"asked for nothing": {mail.Content{HTML: link, TrackOpens: &no, TrackClicks: &no}, relay, plain, mail.Content{HTML: link}},
		"opens":             {mail.Content{HTML: link, TrackOpens: &yes}, relay, plain, mail.Content{HTML: link + "P"}},
		"clicks":            {mail.Content{HTML: link, TrackClicks: &yes}, relay, plain, mail.Content{HTML: `<a href="C">`}},
		"clicks in text":    {mail.Content{Text: link, TrackClicks: &yes, TrackOpens: &yes}, relay, plain, mail.Content{Text: link}},
		"AMP":               {mail.Content{AMP: link, HTML: "x", TrackClicks: &yes}, relay, plain, mail.Content{AMP: link, HTML: "x"}},
		"the provider does it": {mail.Content{HTML: link + "{{unsubscribe}}", TrackOpens: &yes, TrackClicks: &yes}, postmark, tracking,
			mail.Content{HTML: link + "U"}},
		"a provider's template": {mail.Content{Template: "x", HTML: "{{unsubscribe}}", TrackOpens: &yes}, postmark, tracking,
			mail.Content{Template: "x", HTML: "{{unsubscribe}}"}},
		"unsubscribe": {mail.Content{HTML: `<a href="{{{ unsubscribe }}}">`, Text: "{{unsubscribe}} {{ unsubscribe}}", AMP: "{{unsubscribe }}", TrackClicks: &yes}, relay, plain,
			mail.Content{HTML: `<a href="U">`, Text: "U U", AMP: "U", Headers: map[string]string{"List-Unsubscribe": "<U>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}}},
		"other words": {mail.Content{HTML: "{{unsubscribed}} {{un subscribe}} {unsubscribe} {{}} {{user.unsubscribe}}"}, relay, plain,
			mail.Content{HTML: "{{unsubscribed}} {{un subscribe}} {unsubscribe} {{}} {{user.unsubscribe}}"}},
		"headers of the request's own": {mail.Content{Text: "{{unsubscribe}}", Headers: map[string]string{"list-unsubscribe": "<mailto:x@y.example>"}}, relay, plain,
			mail.Content{Text: "U", Headers: map[string]string{"list-unsubscribe": "<mailto:x@y.example>"}}},
		"other headers": {mail.Content{Text: "{{unsubscribe}}", Headers: map[string]string{"X-A": "b"}}, relay, plain,
			mail.Content{Text: "U", Headers: map[string]string{"X-A": "b", "List-Unsubscribe": "<U>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := maps.Clone(c.in.Headers)
			j := job(&c.in)
			got := *s.Outgoing(c.egress, c.capable, j, &c.in)
			if diff := cmp.Diff(got, *s.Outgoing(c.egress, c.capable, j, &c.in)); diff != "" {
				t.Errorf("it says something else the next time: %s", diff)
			}
			if !maps.Equal(before, c.in.Headers) {
				t.Errorf("the request's headers became %v", c.in.Headers)
			}
			got.TrackOpens, got.TrackClicks = nil, nil
			show := func(s string) string {
				return open.ReplaceAllString(click.ReplaceAllString(leave.ReplaceAllString(s, "U"), "C"), "P")
			}
			got.HTML, got.Text, got.AMP = show(got.HTML), show(got.Text), show(got.AMP)
			got.Headers = maps.Clone(got.Headers)
			for name, value := range got.Headers {
				got.Headers[name] = show(value)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is rendered elsewhere, with Unsubscribe, counts as if it stood in the body.
func TestUnsubscribeIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	j := job(nil)
	c := &mail.Content{HTML: `<a href="` + s.Unsubscribe(j, relay) + `">`}
	out := s.Outgoing(relay, plain, j, c)
	if out.HTML != c.HTML || out.Headers["List-Unsubscribe"] != "<"+s.Unsubscribe(j, relay)+">" {
		t.Errorf("%+v", out)
	}
	if s.Outgoing(relay, plain, j, &mail.Content{Text: "{{unsubscribe}}"}).Text != s.Unsubscribe(j, relay) {
		t.Error("the placeholder becomes another address")
	}
	if other := job(nil); true {
		other.ID[0]++
		if s.Unsubscribe(other, relay) == s.Unsubscribe(j, relay) {
			t.Error("two messages share an address")
		}
	}
	for e, want := range map[route.Egress]event.Family{relay: event.CustomSMTP, postmark: event.Postmark, -1: event.Native, 99: event.Native} {
		_, token, _ := strings.Cut(s.Unsubscribe(j, e), paths[unsubscribe])
		if c, err := s.read(token, unsubscribe); err != nil || c.family != want || c.egress != e {
			t.Errorf("%s: %+v (%v)", e, c, err)
		}
	}
	s.Host = func(j *store.Job) string {
		if j.SubAccountID == 8 {
			return "https://track.shop.example/"
		}
		return ""
	}
	if got := s.Unsubscribe(j, relay); !strings.HasPrefix(got, "https://track.shop.example/track/tpsp/unsubscribe/") {
		t.Errorf("at the sender's host: %s", got)
	}
	if got := s.Unsubscribe(&store.Job{}, relay); !strings.HasPrefix(got, "https://post.example.com/track/") {
		t.Errorf("without one: %s", got)
	}
}
