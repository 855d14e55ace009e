package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/provider"
	"postyard/internal/provider/ses/sigv4"
	"postyard/internal/sandbox"
)

// kind finds the stage's provider of a type.
func (s *stage) kind(t provider.Type) demo.Provider {
	s.t.Helper()
	i := slices.IndexFunc(s.Providers, func(p demo.Provider) bool { return p.Type == int(t) })
	if i < 0 {
		s.t.Fatalf("there is no provider of type %d", t)
	}
	return s.Providers[i]
}

// sendTo sends the templated email through a pool to each address, and returns the messages' ids.
func (s *stage) sendTo(pool string, to ...string) []string {
	s.t.Helper()
	through := *s
	scene := *s.Scene
	scene.Pool, through.Scene = pool, &scene
	return through.send(to...)
}

// mail returns the one mail of a message.
func (s *stage) mail(id string) letter {
	s.t.Helper()
	var box struct{ Messages []letter }
	s.control(http.MethodGet, "/sandbox/messages?messageId="+id, nil, &box)
	if len(box.Messages) != 1 {
		s.t.Fatalf("%s is there %d times", id, len(box.Messages))
	}
	return box.Messages[0]
}

// happens makes something happen to the mail of a message.
func (s *stage) happens(id string, what fault) {
	s.t.Helper()
	s.control(http.MethodPost, "/sandbox/messages/"+s.mail(id).ID+"/events", what, nil)
}

// standingHooks counts the webhooks at the simulated provider of a kind.
func (s *stage) standingHooks(name string) (n int) {
	s.t.Helper()
	var servers []struct {
		Provider string
		Webhooks int
	}
	s.control(http.MethodGet, "/sandbox/servers", nil, &servers)
	for _, v := range servers {
		if v.Provider == name {
			n += v.Webhooks
		}
	}
	return n
}

// asUser makes a call at a provider, as whoever has its account.
func (s *stage) asUser(method, path, body string, header http.Header) (answer string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.SandboxURL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text := new(strings.Builder)
	if err := res.Write(text); err != nil || res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s (%v)", method, path, text, err)
	}
	_, answer, _ = strings.Cut(text.String(), "\r\n\r\n")
	return answer
}

// breakHook removes a provider's webhook there, behind our back.
func (s *stage) breakHook(p demo.Provider) {
	s.t.Helper()
	ref := s.server.directory.Current().AnyTPSP(p.ID).Webhook.Ref
	switch provider.Type(p.Type) {
	case provider.Postmark:
		s.asUser(http.MethodDelete, "/webhooks/"+ref, "", http.Header{"X-Postmark-Server-Token": {s.SandboxToken}, "Accept": {"application/json"}})
	case provider.SendGrid:
		id, _, _ := strings.Cut(ref, " ")
		s.asUser(http.MethodDelete, "/v3/user/webhooks/event/settings/"+id, "", http.Header{"Authorization": {"Bearer " + sandbox.DemoSendGridKey}})
	case provider.AmazonSES:
		form := url.Values{"Action": {"DeleteTopic"}, "TopicArn": {ref}, "Version": {"2010-03-31"}}.Encode()
		at, err := url.Parse(s.SandboxURL + "/")
		if err != nil {
			s.t.Fatal(err)
		}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		sigv4.Sign(sigv4.Key{ID: sandbox.DemoSESKeyID, Secret: sandbox.DemoSESSecret, Region: sandbox.SESRegion, Service: "sns"}, time.Now(), http.MethodPost, at, header, []byte(form))
		s.asUser(http.MethodPost, "/", form, header)
	}
}

// reported are the types of a kind's events.
type reported struct {
	kind                           provider.Type
	name                           string // in the sandbox
	sent                           string // all, until it is delivered
	opened, clicked, spam, bounced int
	path                           string
}

var reportedKinds = []reported{
	{provider.Postmark, "postmark", "[69 70 71]", 75, 76, 77, 72, "postmark"},
	{provider.SendGrid, "sendgrid", "[0 14 15]", 20, 21, 22, 18, "sendgrid"},
	{provider.AmazonSES, "ses", "[0 27 28]", 33, 34, 31, 29, "ses"},
}

// TestKinds sends through each kind of provider, has everything happen to the mail, removes the webhook behind our back, moves the provider to
// another account, and deletes it.
func TestKinds(t *testing.T) {
	t.Parallel()
	s := newStageOf(t, nil, withMail)
	each := func(t *testing.T, k reported) {
		p := s.as(t).kind(k.kind)
		s.as(t).happenings(k, p)
		s.as(t).repairs(k, p)
		s.as(t).moves(k, p)
	}
	t.Run("without templates", func(t *testing.T) {
		for _, k := range reportedKinds[1:] {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				each(t, k)
			})
		}
		t.Run("mail server", func(t *testing.T) {
			t.Parallel()
			s := s.as(t)
			p := s.kind(provider.CustomSMTP)
			s.want("[58 59]", 1, s.sendTo(p.Pool, "ana@gmail.com")...)
			list, err := s.api.TPSPs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range list {
				if one.ID == p.ID && (one.WebhookStatus.State != "none" || one.RatePerHour != 100) {
					t.Errorf("%+v", one)
				}
			}
		})
	})
	k := reportedKinds[0] // whose template the others send
	t.Run(k.name, func(t *testing.T) { each(t, k) })
}

// happenings has everything happen to mail of one kind.
func (s *stage) happenings(k reported, p demo.Provider) {
	s.t.Helper()
	ids := s.sendTo(p.Pool, k.name+"@gmail.com", k.name+".complains@yahoo.com", "HardBounce+"+k.name+"@bounce.sandbox.test")
	s.want(k.sent, 1, ids[0], ids[1])
	if m := s.mail(ids[0]); m.Provider != k.name {
		s.t.Errorf("it left through %s", m.Provider)
	}
	s.happens(ids[0], fault{"kind": "open"})
	s.happens(ids[0], fault{"kind": "click"})
	s.happens(ids[1], fault{"kind": "complaint"})
	for id, want := range map[string][]int{ids[0]: {k.opened, k.clicked}, ids[1]: {k.spam}, ids[2]: {k.bounced}} {
		for _, typ := range want {
			waitFor(s.t, fmt.Sprintf("event %d of %s", typ, id), func() bool { return slices.Contains(s.types(id), typ) })
		}
	}
	list, err := s.api.MessageEvents(s.t.Context(), ids[0])
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		if e.TPSPID != p.ID {
			s.t.Errorf("event %d counts for provider %d", e.Type, e.TPSPID)
		}
	}
	for _, suppressed := range []string{k.name + ".complains@yahoo.com", "HardBounce+" + k.name + "@bounce.sandbox.test"} {
		if id := s.sendTo(p.Pool, suppressed)[0]; s.events(id, 2) != "[0 1]" {
			s.t.Errorf("%s gets mail: %v", suppressed, s.types(id))
		}
	}
	var shown struct {
		WebhookStatus struct{ State, URL string }
		RatePerHour   int
	}
	if err := s.api.Account(s.t.Context(), http.MethodGet, fmt.Sprintf("/api/v1/account/tpsp/%d", p.ID), nil, &shown); err != nil {
		s.t.Fatal(err)
	}
	if !strings.HasPrefix(shown.WebhookStatus.URL, s.URL+"/tpsp/"+k.path+"/account/1") || shown.WebhookStatus.State != "registered" {
		s.t.Errorf("%+v", shown)
	}
	if limited := shown.RatePerHour == 100; limited == (k.kind == provider.Postmark) {
		s.t.Errorf("%d an hour", shown.RatePerHour)
	}
}

// repairs has the webhook removed behind our back.
func (s *stage) repairs(k reported, p demo.Provider) {
	s.t.Helper()
	before := s.standingHooks(k.name)
	s.breakHook(p)
	if n := s.standingHooks(k.name); before != 1 || n != 0 {
		s.t.Fatalf("%d webhooks, and %d after the breach", before, n)
	}
	t, err := s.api.RegisterWebhook(s.t.Context(), p.ID)
	if err != nil || t.WebhookStatus.State != "registered" || s.standingHooks(k.name) != 1 {
		s.t.Fatalf("%+v, %d webhooks (%v)", t, s.standingHooks(k.name), err)
	}
	s.want(k.sent, 1, s.sendTo(p.Pool, k.name+".again@gmail.com")...)
}

// moves gives the provider another account, which another sandbox has, and deletes it there.
func (s *stage) moves(k reported, p demo.Provider) {
	s.t.Helper()
	there := s.elsewhere()
	key, secret := there.SandboxToken, ""
	switch k.kind {
	case provider.SendGrid:
		key = sandbox.DemoSendGridKey
	case provider.AmazonSES:
		key, secret = sandbox.DemoSESKeyID, sandbox.DemoSESSecret
	default:
	}
	change := client.TPSPChange{Key: &key, Endpoint: &there.SandboxURL}
	if secret != "" {
		change.Secret = &secret
	}
	t, err := s.api.UpdateTPSP(s.t.Context(), p.ID, change)
	if err != nil || t.WebhookStatus.State != "registered" {
		s.t.Fatalf("%+v (%v)", t, err)
	}
	waitFor(s.t, "the webhook to move", func() bool { return s.standingHooks(k.name) == 0 && there.standingHooks(k.name) == 1 })
	there.want(k.sent, 1, s.sendTo(p.Pool, k.name+".moved@gmail.com")...)
	if err := s.api.Account(s.t.Context(), http.MethodDelete, fmt.Sprintf("/api/v1/account/tpsp/%d?force=true", p.ID), nil, nil); err != nil {
		s.t.Fatal(err)
	}
	waitFor(s.t, "the webhook to go", func() bool { return there.standingHooks(k.name) == 0 })
}

// elsewhere is the stage with another sandbox to look at.
func (s *stage) elsewhere() *stage {
	s.t.Helper()
	box, err := NewSandbox(s.t.Context(), SandboxConfig{Listen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	there := *s
	scene := *s.Scene
	scene.SandboxURL, there.Scene = box.URL, &scene
	return &there
}

// TestFallbackAcrossKinds rehearses an outage of Postmark: Amazon SES carries what Postmark's template looks like, and the message says why.
func TestFallbackAcrossKinds(t *testing.T) {
	t.Parallel()
	s := newStageOf(t, []int{int(provider.Postmark), int(provider.AmazonSES)})
	usual := s.sendTo(s.FallbackPool, "ana@gmail.com")[0]
	s.want("[69 70 71]", 1, usual)
	drill := func(seconds int) {
		var raw json.RawMessage
		if err := s.api.Drill(t.Context(), s.TPSPID, seconds, &raw); err != nil {
			t.Fatal(err)
		}
	}
	drill(600)
	id := s.sendTo(s.FallbackPool, "ana@gmail.com")[0]
	s.want("[0 27 28]", 1, id)
	here, there := s.mail(usual), s.mail(id)
	if there.Provider != "ses" || here.Provider != "postmark" {
		t.Errorf("they left through %s and %s", here.Provider, there.Provider)
	}
	if there.Subject != here.Subject || flat(there.HTML) != flat(here.HTML) || flat(there.Text) != flat(here.Text) || here.HTML == "" {
		t.Errorf("Postmark's\n%s\n%s\n%s\nSES's\n%s\n%s\n%s", here.Subject, here.HTML, here.Text, there.Subject, there.HTML, there.Text)
	}
	var why client.Explanation
	if err := s.api.Account(t.Context(), http.MethodGet, "/api/v1/account/message/"+id+"/explain", nil, &why); err != nil {
		t.Fatal(err)
	}
	ses := fmt.Sprintf("TPSP_%d", s.kind(provider.AmazonSES).ID)
	if len(why.Attempts) != 1 || why.Attempts[0].Egress != ses || why.Plan.Egresses[0] != ses ||
		!strings.Contains(fmt.Sprint(why.Plan), "an outage of the provider is rehearsed") {
		t.Errorf("%+v", why)
	}
	drill(0)
	s.want("[69 70 71]", 1, s.sendTo(s.FallbackPool, "ana@gmail.com")...)
}

// flat is a text without its space and line ends: MIME has its own.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// pool makes a pool that has the first provider carry all, and the others what it does not.
func (s *stage) pool(name string, members ...provider.Type) string {
	s.t.Helper()
	shares, ids := []string{}, []int32{}
	for i, t := range members {
		p := s.kind(t)
		ids = append(ids, p.ID)
		shares = append(shares, fmt.Sprintf(`"TPSP_%d":"%d"`, p.ID, map[bool]int{true: 100, false: 0}[i == 0]))
	}
	made, err := s.api.CreatePool(s.t.Context(), client.NewPool{Name: name, TPSPs: ids, Strategy: 2, RoutingMetaData: "{" + strings.Join(shares, ",") + "}"})
	if err != nil {
		s.t.Fatal(err)
	}
	return made.Name
}

// TestSendGridTakesBack has SendGrid accept a message and drop it because its own plan is used up: the next provider carries it, the message says so, and the
// books balance.
func TestSendGridTakesBack(t *testing.T) {
	t.Parallel()
	s := newStageOf(t, []int{int(provider.Postmark), int(provider.SendGrid), int(provider.AmazonSES)})
	pool := s.pool("sendgrid-first", provider.SendGrid, provider.Postmark)
	s.settings(fault{"deliveryDelayMs": 60_000})
	id := s.sendTo(pool, "ana@gmail.com")[0]
	s.want("[0 14]", 1, id)
	s.settings(fault{"deliveryDelayMs": 100})
	s.happens(id, fault{"kind": "dropped", "type": "Recipient List over Package Quota"})
	waitFor(t, "the message to be delivered elsewhere", func() bool { return slices.Contains(s.types(id), 71) })
	if got := fmt.Sprint(s.types(id)); got != "[0 14 17 70 71]" {
		t.Errorf("events %s", got)
	}
	var why client.Explanation
	if err := s.api.Account(t.Context(), http.MethodGet, "/api/v1/account/message/"+id+"/explain", nil, &why); err != nil {
		t.Fatal(err)
	}
	if len(why.Attempts) != 2 || why.Attempts[0].TakenBack == "" || why.State != "delivered" || why.Attempts[1].Provider != demo.ProviderName {
		t.Errorf("%+v", why)
	}
	var books struct{ OK bool }
	if err := s.api.Account(t.Context(), http.MethodGet, "/api/v1/account/verify", nil, &books); err != nil || !books.OK {
		t.Errorf("the books: %+v (%v)", books, err)
	}
}
