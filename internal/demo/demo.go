// Package demo sets a fresh server up as a user would, through its HTTP API: sub-accounts, a provider of each kind (Postmark with a stream
// that is selected from its list), a pool in which one stands in for another, and a first templated email. Run again on the same server
// it goes on with what is there.
package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/client"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// What the demo makes.
const (
	ProviderName = "Postmark sandbox"
	Sender       = "hello@example.com" // of the sandbox's verified domain

	// Who can sign in to the dashboard, all with one password.
	Owner    = "owner@example.com"
	Viewer   = "viewer@example.com"
	Password = "postyard-demo"

	defaultPool  = "default"       // for mail that names no pool: through Postmark
	fallbackPool = "fallback-pool" // Postmark first, Amazon SES when Postmark cannot
)

// SendPost's numbers.
const (
	sendGrid   = 1
	amazonSES  = 3
	postmark   = 4
	customSMTP = 6

	byVolume = 2 // a routing strategy
)

var subAccounts = []string{"Transactional", "Marketing"}

// Scene is a server that is set up. Its JSON is what `demo --json` prints.
type Scene struct {
	URL           string                  `json:"url"`
	AccountID     int32                   `json:"accountId"`
	AccountAPIKey string                  `json:"accountApiKey"`
	SubAccounts   []client.SubAccountInfo `json:"subAccounts"`
	Pool          string                  `json:"pool"`
	Template      string                  `json:"template"`
	FallbackPool  string                  `json:"fallbackPool"`
	Providers     []Provider              `json:"providers"`
	TPSPID        int32                   `json:"tpspId"` // of Postmark, as Pool and Stream are
	Stream        string                  `json:"stream"`
	SandboxURL    string                  `json:"sandboxUrl"`
	SandboxToken  string                  `json:"sandboxToken"`
	SMTP          *MailServer             `json:"smtp,omitempty"`      // when the sandbox takes mail by SMTP
	IP            string                  `json:"ip,omitempty"`        // a public address of the operator's own; its mail server is the sandbox's
	MessageID     string                  `json:"messageId,omitempty"` // of the first email, when it was sent now
	Dashboard     Dashboard               `json:"dashboard"`
}

// Dashboard is where people look, and who may.
type Dashboard struct {
	URL      string `json:"url"`
	Email    string `json:"email"`
	Password string `json:"password"`
}

// Provider is one that is connected.
type Provider struct {
	ID   int32  `json:"id"`
	Type int    `json:"type"`
	Name string `json:"name"`
	Pool string `json:"pool"` // that leads to it alone
}

// MailServer is the sandbox's, for a provider of type 6.
type MailServer struct {
	URL      string `json:"url"` // "smtp://127.0.0.1:2525"
	User     string `json:"user"`
	Password string `json:"password"`
}

// Config is what the demo starts from.
type Config struct {
	URL        string
	AccountID  int32
	AccountKey secret.String
	SandboxURL string
	SMTPURL    string // "": the sandbox takes no mail by SMTP, or runs elsewhere
	IP         string // the configured IP; "": none
	NoTraffic  bool   // send no email
	Only       []int  // the types of the providers to connect, Postmark's among them; none: all
}

// SetUp makes what is missing. Every step is an API call; an error names the step.
func SetUp(ctx context.Context, c Config) (*Scene, error) {
	api := &client.Client{URL: c.URL, AccountKey: c.AccountKey}
	s := &Scene{URL: c.URL, AccountID: c.AccountID, AccountAPIKey: c.AccountKey.Reveal(), Template: sandbox.DemoTemplateAlias,
		SandboxURL: c.SandboxURL, SandboxToken: sandbox.DemoServerToken, Dashboard: Dashboard{c.URL, Owner, Password}}
	if c.SMTPURL != "" {
		s.IP = c.IP
		s.SMTP = &MailServer{URL: c.SMTPURL, User: sandbox.DemoSMTPUser, Password: sandbox.DemoSMTPPassword}
	}
	if err := makeMembers(ctx, api); err != nil {
		return nil, fmt.Errorf("demo: make members of the dashboard: %w", err)
	}
	if err := s.makeSubAccounts(ctx, api); err != nil {
		return nil, fmt.Errorf("demo: make sub-accounts: %w", err)
	}
	connected, err := s.connect(ctx, api, c.Only...)
	if err != nil {
		return nil, fmt.Errorf("demo: connect %w", err)
	}
	if err := s.pools(ctx, api); err != nil {
		return nil, fmt.Errorf("demo: make IP pools: %w", err)
	}
	if connected && len(s.Providers) > 1 {
		if err := s.mirrored(ctx, api); err != nil {
			return nil, fmt.Errorf("demo: list templates: %w", err)
		}
	}
	if c.NoTraffic || !connected {
		return s, nil
	}
	api.SubAccountKey = secret.NewString(s.SubAccounts[0].APIKey)
	sent, err := api.Send(ctx, s.FirstEmail())
	if err != nil {
		return nil, fmt.Errorf("demo: send the first email: %w", err)
	}
	s.MessageID = sent[0].MessageID
	return s, nil
}

// FirstEmail is the email that the demo sends.
func (s *Scene) FirstEmail() client.Email {
	return client.Email{
		From:         client.Address{Email: Sender, Name: "Postyard demo"},
		To:           []client.Recipient{{Address: client.Address{Email: "ana@gmail.com", Name: "Ana"}, CustomFields: map[string]any{"name": "Ana"}}},
		Subject:      "Welcome",
		IPPool:       s.Pool,
		TPSPTemplate: s.Template,
		CustomFields: map[string]any{"product_name": "Postyard", "action_url": "https://example.com/start"},
		Groups:       []string{"welcome"},
	}
}

// makeMembers makes an owner and a viewer.
func makeMembers(ctx context.Context, api *client.Client) error {
	have, err := api.Members(ctx)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		if err := api.SetUpDashboard(ctx, Owner, "Olivia Owner", Password); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(have, func(m client.Member) bool { return m.Email == Viewer }) {
		return nil
	}
	invited, err := api.Invite(ctx, Viewer, "Victor Viewer", "viewer")
	if err != nil {
		return err
	}
	_, token, _ := strings.Cut(invited.Invitation, "#")
	return api.Join(ctx, token, Password)
}

func (s *Scene) makeSubAccounts(ctx context.Context, api *client.Client) error {
	have, err := api.SubAccounts(ctx)
	if err != nil {
		return err
	}
	for _, name := range subAccounts {
		if i := slices.IndexFunc(have, func(a client.SubAccountInfo) bool { return a.Name == name }); i >= 0 {
			s.SubAccounts = append(s.SubAccounts, have[i])
			continue
		}
		made, err := api.CreateSubAccount(ctx, name)
		if err != nil {
			return err
		}
		s.SubAccounts = append(s.SubAccounts, made)
	}
	return nil
}

// wanted are the providers of a demo, in the order in which they are connected.
func (s *Scene) wanted() []client.NewTPSP {
	list := []client.NewTPSP{
		{Type: postmark, Name: ProviderName, Key: s.SandboxToken, Endpoint: s.SandboxURL},
		{Type: sendGrid, Name: "SendGrid sandbox", Key: sandbox.DemoSendGridKey, Endpoint: s.SandboxURL},
		{Type: amazonSES, Name: "Amazon SES sandbox", Key: sandbox.DemoSESKeyID, Secret: sandbox.DemoSESSecret, Endpoint: s.SandboxURL},
	}
	if s.SMTP != nil {
		list = append(list, client.NewTPSP{Type: customSMTP, Name: "Mail server sandbox", Key: s.SMTP.User, Secret: s.SMTP.Password, Endpoint: s.SMTP.URL})
	}
	return list
}

// connect walks the set-up of the providers that are missing; fresh tells that Postmark was.
func (s *Scene) connect(ctx context.Context, api *client.Client, only ...int) (fresh bool, err error) {
	have, err := api.TPSPs(ctx)
	if err != nil {
		return false, err
	}
	for _, wanted := range s.wanted() {
		if len(only) > 0 && !slices.Contains(only, wanted.Type) {
			continue
		}
		t, made, err := s.connectOne(ctx, api, have, wanted)
		if err != nil {
			return false, fmt.Errorf("%s: %w", wanted.Name, err)
		}
		s.Providers = append(s.Providers, Provider{ID: t.ID, Type: t.Type, Name: t.Name})
		if wanted.Type == postmark {
			s.TPSPID, s.Stream, fresh = t.ID, t.MessageStream, made
		}
	}
	return fresh, nil
}

// connectOne finds a provider among those that are there, or connects it.
func (s *Scene) connectOne(ctx context.Context, api *client.Client, have []client.TPSP, wanted client.NewTPSP) (t client.TPSP, made bool, err error) {
	if i := slices.IndexFunc(have, func(t client.TPSP) bool { return t.Type == wanted.Type && t.At() == wanted.Endpoint }); i >= 0 {
		return have[i], false, nil
	}
	if i := slices.IndexFunc(have, func(t client.TPSP) bool { return t.Type == wanted.Type && t.Name == wanted.Name }); i >= 0 {
		return s.move(ctx, api, have[i], wanted)
	}
	if wanted.Type == postmark {
		streams, err := api.Streams(ctx, wanted)
		if err != nil {
			return t, false, err
		}
		if len(streams) == 0 {
			return t, false, fmt.Errorf("the server at %s has no message stream to send through", s.SandboxURL)
		}
		wanted.MessageStream = streams[0].ID
	}
	if t, err = api.CreateTPSP(ctx, wanted); err != nil {
		return t, false, err
	}
	return t, true, standing(t)
}

// move leads a provider to the sandbox's new address.
func (*Scene) move(ctx context.Context, api *client.Client, was client.TPSP, wanted client.NewTPSP) (client.TPSP, bool, error) {
	change := client.TPSPChange{Key: &wanted.Key, Endpoint: &wanted.Endpoint}
	if wanted.Secret != "" {
		change.Secret = &wanted.Secret
	}
	if was.Port != 0 {
		change.Port = new(int) // it is in the endpoint
	}
	t, err := api.UpdateTPSP(ctx, was.ID, change)
	if err != nil {
		return t, false, fmt.Errorf("the sandbox was at %s before: %w", was.At(), err)
	}
	return t, true, standing(t)
}

// standing tells when a provider does not report.
func standing(t client.TPSP) error {
	if state := t.WebhookStatus.State; state != "registered" && state != "none" {
		return fmt.Errorf("the webhook is %s: %s", state, t.WebhookStatus.Message)
	}
	return nil
}

// pools finds the pool of each provider, and makes those that lead to more than one, or are for mail that names none.
func (s *Scene) pools(ctx context.Context, api *client.Client) error {
	pools, err := api.Pools(ctx)
	if err != nil {
		return err
	}
	for i := range s.Providers {
		p := &s.Providers[i]
		if p.Pool = poolOf(pools, p.ID); p.Pool == "" {
			return fmt.Errorf("no IP pool leads to provider %d any more", p.ID)
		}
		if p.ID == s.TPSPID {
			s.Pool = p.Pool
		}
	}
	if len(s.Providers) == 1 { // its pool is the only one
		return nil
	}
	named := func(name string) bool {
		return slices.ContainsFunc(pools, func(p client.Pool) bool { return p.Name == name })
	}
	if !named(defaultPool) {
		if _, err := api.CreatePool(ctx, client.NewPool{Name: defaultPool, TPSPs: []int32{s.TPSPID}}); err != nil {
			return err
		}
	}
	second := slices.IndexFunc(s.Providers, func(p Provider) bool { return p.Type == amazonSES })
	if second < 0 {
		return nil
	}
	s.FallbackPool = fallbackPool
	if named(fallbackPool) {
		return nil
	}
	// All of the mail is Postmark's share, and none the other's: it carries what Postmark does not.
	ses := s.Providers[second].ID
	_, err = api.CreatePool(ctx, client.NewPool{Name: fallbackPool, TPSPs: []int32{s.TPSPID, ses}, Strategy: byVolume,
		RoutingMetaData: fmt.Sprintf(`{"TPSP_%d":"100","TPSP_%d":"0"}`, s.TPSPID, ses)})
	return err
}

// mirrored waits a while for the template to be read from Postmark: from then on the other providers can carry it, too.
func (s *Scene) mirrored(ctx context.Context, api *client.Client) error {
	const looks, pause = 100, 50 * time.Millisecond
	for range looks {
		list, err := api.Templates(ctx)
		if err != nil || slices.ContainsFunc(list, func(t client.Template) bool { return t.Alias == s.Template }) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil // it will be later
}

// poolOf finds the pool that leads to a provider, before those that lead to others as well; "" when there is none.
func poolOf(pools []client.Pool, id int32) string {
	name, members := "", 0
	for _, p := range pools {
		leads := slices.ContainsFunc(p.ThirdPartySendingProviders, func(t client.TPSP) bool { return t.ID == id })
		if n := len(p.ThirdPartySendingProviders); leads && p.Name != defaultPool && (name == "" || n < members) {
			name, members = p.Name, n
		}
	}
	return name
}
