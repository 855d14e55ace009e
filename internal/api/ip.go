package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/ip"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/tpsp"
)

// IPs manages the operator's own IPs; *ip.Service is one.
type IPs interface {
	IP(accountID, id int32) (*directory.TPSP, error)
	IPs(accountID int32, search string) []*directory.TPSP
	Allocate(ctx context.Context, accountID int32, addresses []string) ([]*directory.TPSP, error)
	Update(ctx context.Context, accountID, id int32, c ip.Changes) (*directory.TPSP, error)
	Drill(ctx context.Context, accountID, id int32, length time.Duration) (*directory.TPSP, error)
	Delete(ctx context.Context, accountID, id int32, force bool) (*directory.TPSP, error)
}

// ipAnswer is SendPost's IP, which strict clients take no other key in (CL-2). What it may have and we do not know is left out.
type ipAnswer struct {
	ID       int32      `json:"id"`
	PublicIP string     `json:"publicIP"`
	Created  int64      `json:"created"`
	Type     int        `json:"type"`
	State    int        `json:"state"`  // 1: mail leaves through it; 0: not now
	Labels   []struct{} `json:"labels"` // there are none
	mailboxSettings
}

// mailboxSettings are the limits of an IP by mailbox provider, each a JSON document inside a string: {"name":"gmail","maxSendPerHour":100}.
// Those without a limit are left out.
type mailboxSettings struct {
	Gmail           string `json:"gmailSettings,omitempty"`
	Yahoo           string `json:"yahooSettings,omitempty"`
	AOL             string `json:"aolSettings,omitempty"`
	Microsoft       string `json:"microsoftSettings,omitempty"`
	Comcast         string `json:"comcastSettings,omitempty"`
	Yandex          string `json:"yandexSettings,omitempty"`
	GMX             string `json:"gmxSettings,omitempty"`
	MailRu          string `json:"mailruSettings,omitempty"`
	ICloud          string `json:"icloudSettings,omitempty"`
	Zoho            string `json:"zohoSettings,omitempty"`
	QQ              string `json:"qqSettings,omitempty"`
	Default         string `json:"defaultSettings,omitempty"`
	ATT             string `json:"attSettings,omitempty"`
	Office365       string `json:"office365Settings,omitempty"`
	GoogleWorkspace string `json:"googleworkspaceSettings,omitempty"`
	Proofpoint      string `json:"proofpointSettings,omitempty"`
	Mimecast        string `json:"mimecastSettings,omitempty"`
	Barracuda       string `json:"barracudaSettings,omitempty"`
	CiscoIronPort   string `json:"ciscoironportSettings,omitempty"`
	Rackspace       string `json:"rackspaceSettings,omitempty"`
	ZohoBusiness    string `json:"zohobusinessSettings,omitempty"`
	AmazonWorkMail  string `json:"amazonworkmailSettings,omitempty"`
	Symantec        string `json:"symantecSettings,omitempty"`
	Fortinet        string `json:"fortinetSettings,omitempty"`
	Sophos          string `json:"sophosSettings,omitempty"`
	TrendMicro      string `json:"trendmicroSettings,omitempty"`
	CheckPoint      string `json:"checkpointSettings,omitempty"`
}

// of returns where the settings of a mailbox provider stand, nil for one that SendPost has not.
func (l *mailboxSettings) of(class mailbox.Class) *string {
	return map[mailbox.Class]*string{
		mailbox.Gmail:           &l.Gmail,
		mailbox.Yahoo:           &l.Yahoo,
		mailbox.AOL:             &l.AOL,
		mailbox.Microsoft:       &l.Microsoft,
		mailbox.Comcast:         &l.Comcast,
		mailbox.Yandex:          &l.Yandex,
		mailbox.GMX:             &l.GMX,
		mailbox.MailRu:          &l.MailRu,
		mailbox.ICloud:          &l.ICloud,
		mailbox.Zoho:            &l.Zoho,
		mailbox.QQ:              &l.QQ,
		mailbox.Default:         &l.Default,
		mailbox.ATT:             &l.ATT,
		mailbox.Office365:       &l.Office365,
		mailbox.GoogleWorkspace: &l.GoogleWorkspace,
		mailbox.Proofpoint:      &l.Proofpoint,
		mailbox.Mimecast:        &l.Mimecast,
		mailbox.Barracuda:       &l.Barracuda,
		mailbox.CiscoIronPort:   &l.CiscoIronPort,
		mailbox.Rackspace:       &l.Rackspace,
		mailbox.ZohoBusiness:    &l.ZohoBusiness,
		mailbox.AmazonWorkMail:  &l.AmazonWorkMail,
		mailbox.Symantec:        &l.Symantec,
		mailbox.Fortinet:        &l.Fortinet,
		mailbox.Sophos:          &l.Sophos,
		mailbox.TrendMicro:      &l.TrendMicro,
		mailbox.CheckPoint:      &l.CheckPoint,
	}[class]
}

func (s *server) ipAnswer(t *directory.TPSP) (ipAnswer, error) {
	answer := ipAnswer{ID: t.IPID(), PublicIP: t.Name, Created: nanos(t.Created), Labels: []struct{}{}}
	if t.Away(s.Now()) == "" {
		answer.State = 1
	}
	for class, perHour := range t.Limits.Mailbox {
		text, err := json.Marshal(struct {
			Name           string `json:"name"`
			MaxSendPerHour int    `json:"maxSendPerHour"`
		}{string(class), perHour})
		if err != nil {
			return ipAnswer{}, err
		}
		if at := answer.of(class); at != nil {
			*at = string(text)
		}
	}
	return answer, nil
}

// ipOperations are the operations on IPs.
func (s *server) ipOperations(v1 string) []operation {
	const ips = "/account/ip"
	return []operation{
		op(http.MethodGet, v1+ips, accountKey, "list IPs", s.forAccount(s.listIPs)).
			asks(pageParameters("public address")...).answers(http.StatusOK, []ipAnswer{}),
		op(http.MethodGet, v1+ips+"/count", accountKey, "count IPs", s.forAccount(s.countIPs)).
			asks(parameter{Name: "search", Kind: "string", Summary: "part of the public address"}).answers(http.StatusOK, countAnswer{}),
		op(http.MethodPut, v1+ips+"/allocate", accountKey, "give configured IPs to the account", s.forAccount(s.allocateIPs)).
			body(allocateRequest{}).answers(http.StatusOK, ipAnswer{}),
		op(http.MethodPost, v1+ips+"/allocate", accountKey, "give configured IPs to the account", s.forAccount(s.allocateIPs)).
			body(allocateRequest{}).answers(http.StatusOK, ipAnswer{}),
		op(http.MethodGet, v1+ips+"/{id}", accountKey, "read an IP", s.forAccount(s.getIP)).answers(http.StatusOK, ipAnswer{}),
		op(http.MethodPut, v1+ips+"/{id}", accountKey, "change an IP: its limits, ...; pause it", s.forAccount(s.updateIP)).
			body(ipChanges{}).answers(http.StatusOK, ipAnswer{}),
		op(http.MethodDelete, v1+ips+"/{id}", accountKey, "give an IP back", s.forAccount(s.deleteIP)).
			asks(parameter{Name: "force", Kind: "boolean", Summary: "although messages wait for it, or IP pools have nothing else"}).
			answers(http.StatusOK, deletedAnswer{}),
		op(http.MethodGet, v1+ips+"/{id}/settings", accountKey, "read an IP's limits, health and usage", s.forAccount(s.getIPSettings)).
			answers(http.StatusOK, ipSettings{}),
		op(http.MethodGet, v1+ips+"/{id}/ippool", accountKey, "list the IP pools that an IP is in", s.forAccount(s.listPoolsOfIP)).
			answers(http.StatusOK, []poolAnswer{}),
		op(http.MethodPost, v1+"/tpsp/test/custom-smtp", accountKey, "try a mail server without adding it", s.forAccount(s.tryMailServer)).
			body(mailServerRequest{}).answers(http.StatusOK, triedAnswer{}).unrecorded(),
		op(http.MethodPost, v1+ips+"/{id}/drill", accountKey, "rehearse an outage of an IP", s.forAccount(s.drillIP)).
			body(drillRequest{}).answers(http.StatusOK, ipSettings{}),
	}
}

func (s *server) listIPs(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	list := cut(s.IPs.IPs(a.ID, p.search), p)
	answers := make([]ipAnswer, len(list))
	for i, t := range list {
		if answers[i], err = s.ipAnswer(t); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) countIPs(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return reply(w, http.StatusOK, countAnswer{len(s.IPs.IPs(a.ID, r.URL.Query().Get("search")))})
}

// replyIP answers with an IP, unless there was an error.
func (s *server) replyIP(w http.ResponseWriter, t *directory.TPSP, err error) error {
	if err != nil {
		return err
	}
	answer, err := s.ipAnswer(t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// findIP finds the IP that the path names.
func (s *server) findIP(r *http.Request, a *directory.Account) (*directory.TPSP, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return s.IPs.IP(a.ID, id)
}

func (s *server) getIP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	t, err := s.findIP(r, a)
	return s.replyIP(w, t, err)
}

// allocateRequest is SendPost's IPAllocationRequest. Whether others overflow into the IPs is said by the pools that do.
type allocateRequest struct {
	IPs          []string `json:"ips"`
	OverflowPool bool     `json:"overflowPool"`
}

// allocateIPs answers with the first IP that was named: SendPost's answer is one.
func (s *server) allocateIPs(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in allocateRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	list, err := s.IPs.Allocate(r.Context(), a.ID, in.IPs)
	if err != nil {
		return err
	}
	s.Changed()
	return s.replyIP(w, list[0], nil)
}

// ipChanges is SendPost's IPUpdateRequest, and what we have in addition. What is absent stays.
type ipChanges struct {
	AutoWarmupEnabled *bool   `json:"autoWarmupEnabled"`
	Active            *bool   `json:"active"`
	AmbiguousPolicy   *string `json:"ambiguousPolicy"`
	limitsRequest
}

func (c *ipChanges) changes() (ip.Changes, error) {
	changes := ip.Changes{AutoWarmup: c.AutoWarmupEnabled, Active: c.Active, Limits: c.apply}
	if c.AutoWarmupEnabled == nil && c.Active == nil && c.AmbiguousPolicy == nil && c.RatePerHour == nil && c.MailboxLimits == nil {
		return changes, mail.Invalid("missing_auto_warmup", "autoWarmupEnabled",
			"autoWarmupEnabled is needed, or one of active, ambiguousPolicy, ratePerHour and mailboxLimits")
	}
	if c.AmbiguousPolicy != nil {
		policy, err := parsePolicy(*c.AmbiguousPolicy)
		if err != nil {
			return changes, err
		}
		changes.Policy = &policy
	}
	return changes, nil
}

func (s *server) updateIP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	t, err := s.findIP(r, a)
	if err != nil {
		return err // before the body is judged
	}
	var in ipChanges
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	changes, err := in.changes()
	if err != nil {
		return err
	}
	t, err = s.IPs.Update(r.Context(), a.ID, t.IPID(), changes)
	if err == nil {
		s.Changed()
	}
	return s.replyIP(w, t, err)
}

func (s *server) deleteIP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, force, err := deletion(r)
	if err != nil {
		return err
	}
	t, err := s.IPs.Delete(r.Context(), a.ID, id, force)
	if err != nil {
		return err
	}
	s.Changed()
	return reply(w, http.StatusOK, deletedAnswer{ID: id, Message: "IP (" + t.Name + ") has been deleted successfully"})
}

// ipSettings is what an IP has that SendPost's has not.
type ipSettings struct {
	ID                int32          `json:"id"`
	PublicIP          string         `json:"publicIP"`
	Configured        bool           `json:"configured"` // the server's configuration has a mail server for it
	AutoWarmupEnabled bool           `json:"autoWarmupEnabled"`
	Active            bool           `json:"active"`
	AmbiguousPolicy   string         `json:"ambiguousPolicy"` // at-least-once, at-most-once
	RatePerHour       int            `json:"ratePerHour"`     // 0: no limit
	MailboxLimits     map[string]int `json:"mailboxLimits"`
	Health            healthAnswer   `json:"health"`
	Usage             usageAnswer    `json:"usage"`
}

func (s *server) replyIPSettings(w http.ResponseWriter, r *http.Request, t *directory.TPSP, err error) error {
	if err != nil {
		return err
	}
	usage, err := s.usage(r.Context(), t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, ipSettings{ID: t.IPID(), PublicIP: t.Name, Configured: !t.Missing, AutoWarmupEnabled: t.AutoWarmup,
		Active: !t.Paused, AmbiguousPolicy: t.Policy.String(), RatePerHour: t.Limits.PerHour, MailboxLimits: byKey(t.Limits.Mailbox),
		Health: healthAnswerOf(t, s.Now()), Usage: *usage})
}

func (s *server) getIPSettings(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	t, err := s.findIP(r, a)
	return s.replyIPSettings(w, r, t, err)
}

func (s *server) listPoolsOfIP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	t, err := s.findIP(r, a)
	if err != nil {
		return err
	}
	return s.replyPools(w, r, a, func(p *route.Pool) bool { return slices.Contains(p.Members, t.Egress()) })
}

// mailServerRequest is how a mail server is reached, as the body has it that adds one.
type mailServerRequest struct {
	Endpoint string `json:"endpoint"`
	Port     int    `json:"port"`
	Key      string `json:"key"`    // user name
	Secret   string `json:"secret"` // password
	Domain   string `json:"domain"` // the name for EHLO
}

// triedAnswer says that a mail server can be added; one that cannot is refused as its addition would be.
type triedAnswer struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

func (s *server) tryMailServer(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in mailServerRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	if err := s.Providers.TryMailServer(r.Context(), a.ID, tpsp.New{Endpoint: in.Endpoint, Port: in.Port, Domain: in.Domain,
		Key: secret.NewString(in.Key), Secret: secret.NewString(in.Secret)}); err != nil {
		return err
	}
	words := "the mail server answers"
	if in.Key != "" {
		words = "the mail server answers, and takes the user name and the password"
	}
	return reply(w, http.StatusOK, triedAnswer{true, words})
}

func (s *server) drillIP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	t, err := s.findIP(r, a)
	if err != nil {
		return err // before the body is judged
	}
	length, err := readDrill(w, r)
	if err != nil {
		return err
	}
	t, err = s.IPs.Drill(r.Context(), a.ID, t.IPID(), length)
	if err == nil {
		s.Changed()
	}
	return s.replyIPSettings(w, r, t, err)
}
