// Package demo sets a fresh server up as a user would, through its HTTP API: sub-accounts, a Postmark provider whose
// streams are fetched and one selected, and a first templated email. Run again on the same server it goes on with what is
// there.
package demo

import (
	"context"
	"fmt"
	"slices"

	"postyard/internal/client"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// What the demo makes.
const (
	ProviderName = "Postmark sandbox"
	Sender       = "hello@example.com" // of the sandbox's verified domain
	postmark     = 4                   // SendPost's type id
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
	TPSPID        int32                   `json:"tpspId"`
	Stream        string                  `json:"stream"`
	SandboxURL    string                  `json:"sandboxUrl"`
	SandboxToken  string                  `json:"sandboxToken"`
	SMTP          *MailServer             `json:"smtp,omitempty"`      // when the sandbox takes mail by SMTP
	IP            string                  `json:"ip,omitempty"`        // a public address of the operator's own; its mail server is the sandbox's
	MessageID     string                  `json:"messageId,omitempty"` // of the first email, when it was sent now
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
}

// SetUp makes what is missing. Every step is an API call; an error names the step.
func SetUp(ctx context.Context, c Config) (*Scene, error) {
	api := &client.Client{URL: c.URL, AccountKey: c.AccountKey}
	s := &Scene{URL: c.URL, AccountID: c.AccountID, AccountAPIKey: c.AccountKey.Reveal(), Template: sandbox.DemoTemplateAlias,
		SandboxURL: c.SandboxURL, SandboxToken: sandbox.DemoServerToken}
	if c.SMTPURL != "" {
		s.IP = c.IP
		s.SMTP = &MailServer{URL: c.SMTPURL, User: sandbox.DemoSMTPUser, Password: sandbox.DemoSMTPPassword}
	}
	if err := s.makeSubAccounts(ctx, api); err != nil {
		return nil, fmt.Errorf("demo: make sub-accounts: %w", err)
	}
	connected, err := s.connect(ctx, api)
	if err != nil {
		return nil, fmt.Errorf("demo: connect Postmark: %w", err)
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

// connect walks the set-up of a Postmark provider; fresh tells that there was none.
func (s *Scene) connect(ctx context.Context, api *client.Client) (fresh bool, err error) {
	have, err := api.TPSPs(ctx)
	if err != nil {
		return false, err
	}
	if i := slices.IndexFunc(have, func(t client.TPSP) bool { return t.Endpoint == s.SandboxURL }); i >= 0 {
		s.TPSPID, s.Stream = have[i].ID, have[i].MessageStream
		return false, s.findPool(ctx, api)
	}
	if i := slices.IndexFunc(have, func(t client.TPSP) bool { return t.Name == ProviderName }); i >= 0 {
		// The sandbox has moved. Mail that still waits for the old address keeps the provider; that is an error.
		if err := api.DeleteTPSP(ctx, have[i].ID); err != nil {
			return false, fmt.Errorf("the sandbox was at %s before: %w", have[i].Endpoint, err)
		}
	}
	postmark := client.NewTPSP{Type: postmark, Name: ProviderName, Key: s.SandboxToken, Endpoint: s.SandboxURL}
	streams, err := api.Streams(ctx, postmark)
	if err != nil {
		return false, err
	}
	if len(streams) == 0 {
		return false, fmt.Errorf("the server at %s has no message stream to send through", s.SandboxURL)
	}
	postmark.MessageStream = streams[0].ID
	made, err := api.CreateTPSP(ctx, postmark)
	if err != nil {
		return false, err
	}
	if made.WebhookStatus.State != "registered" {
		return false, fmt.Errorf("the webhook is %s: %s", made.WebhookStatus.State, made.WebhookStatus.Message)
	}
	s.TPSPID, s.Stream, s.Pool = made.ID, made.MessageStream, made.IPPool.Name
	return true, nil
}

func (s *Scene) findPool(ctx context.Context, api *client.Client) error {
	pools, err := api.Pools(ctx)
	if err != nil {
		return err
	}
	for _, p := range pools {
		if slices.ContainsFunc(p.ThirdPartySendingProviders, func(t client.TPSP) bool { return t.ID == s.TPSPID }) {
			s.Pool = p.Name
			return nil
		}
	}
	return fmt.Errorf("no IP pool leads to provider %d any more", s.TPSPID)
}
