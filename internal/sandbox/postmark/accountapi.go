package postmark

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"postyard/internal/sandbox/store"
)

// account is what belongs to no server. Guarded by Simulator.mu.
type account struct {
	domains  []*domain
	senders  []*sender
	removals []*removal
	last     int // the highest id of any of them
}

// Kinds of documents of the account.
const (
	kindDomain  = "domain"
	kindSender  = "sender"
	kindRemoval = "removal"
	ownAccount  = "account" // stands for the owner in their ids
)

func seedAccount() *account {
	seeded := &domain{ID: 1, Name: "example.com", ReturnPathDomain: "pm-bounces.example.com", SPF: true, ReturnPath: true, Key: 1}
	return &account{domains: []*domain{seeded}, last: 1}
}

// mayUse tells whether mail may be from an address: of a verified domain, or a confirmed sender's (PM-sim 16).
func (a *account) mayUse(from address) bool {
	name := from.domain()
	for _, d := range a.domains {
		if d.Name == name && d.Key > 0 {
			return true
		}
	}
	for _, s := range a.senders {
		if s.Confirmed && strings.EqualFold(s.Email, from.Email) {
			return true
		}
	}
	return false
}

// restore brings back a document of the account; a nil value is its end.
func (a *account) restore(kind, id string, value json.RawMessage) error {
	number, err := strconv.Atoi(id)
	if err != nil {
		return fmt.Errorf("postmark: no number of a %s: %q", kind, id)
	}
	a.last = max(a.last, number)
	switch kind {
	case kindDomain:
		a.domains, err = restored(a.domains, number, value)
	case kindSender:
		a.senders, err = restored(a.senders, number, value)
	case kindRemoval:
		a.removals, err = restored(a.removals, number, value)
	default:
		err = fmt.Errorf("postmark: unknown kind of document %q", kind)
	}
	return err
}

// numbered are things of the account: each is its own document, and is replaced, not changed.
type numbered interface{ number() int }

// restored is a list with one of its members as a document has it.
func restored[T any, P interface {
	*T
	numbered
}](list []P, id int, value json.RawMessage) ([]P, error) {
	if value == nil {
		return without(list, id), nil
	}
	one := P(new(T))
	if err := json.Unmarshal(value, one); err != nil {
		return nil, err
	}
	return with(list, one), nil
}

func with[P numbered](list []P, one P) []P {
	list = slices.Clone(list)
	if at := slices.IndexFunc(list, func(old P) bool { return old.number() == one.number() }); at >= 0 {
		list[at] = one
		return list
	}
	return append(list, one)
}

func without[P numbered](list []P, id int) []P {
	return slices.DeleteFunc(slices.Clone(list), func(old P) bool { return old.number() == id })
}

// byNumber finds a member by the id of a path, or returns nil.
func byNumber[T any, P interface {
	*T
	numbered
}](list []P, id string) P {
	number, err := strconv.Atoi(id)
	for _, one := range list {
		if err == nil && one.number() == number {
			return one
		}
	}
	return nil
}

// accountDocument is something of the account's as the store has it.
func accountDocument(kind string, id int, value any) store.Document {
	return store.Document{Provider: Provider, Kind: kind, ID: ownAccount + "/" + strconv.Itoa(id), Value: value}
}

// keepOfAccount writes a document of the account; a nil value is a deletion. The caller holds mu.
func (s *Simulator) keepOfAccount(kind string, id int, value any) error {
	d := accountDocument(kind, id, value)
	if value == nil {
		return s.store.Delete(d)
	}
	return s.store.Put(d)
}

// serverRequest names only what is to change.
type serverRequest struct {
	Name                       *string
	Color                      *string
	SMTPAPIActivated           *bool `json:"SmtpApiActivated"`
	RawEmailEnabled            *bool
	DeliveryType               *string
	InboundDomain              *string
	InboundHookURL             *string `json:"InboundHookUrl"`
	InboundSpamThreshold       *int
	BounceHookURL              *string `json:"BounceHookUrl"`
	OpenHookURL                *string `json:"OpenHookUrl"`
	DeliveryHookURL            *string `json:"DeliveryHookUrl"`
	ClickHookURL               *string `json:"ClickHookUrl"`
	PostFirstOpenOnly          *bool
	TrackOpens                 *bool
	TrackLinks                 *string
	IncludeBounceContentInHook *bool
	EnableSMTPAPIErrorHooks    *bool `json:"EnableSmtpApiErrorHooks"`
}

var colors = []string{"Purple", "Blue", "Turqoise", "Green", "Red", "Orange", "Yellow", "Grey"} // spelt so

const maxSpamThreshold = 30

func given[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// apply puts what a request names into the options of a server and checks the result. DeliveryType is for new ones only.
func (r *serverRequest) apply(o *options) error {
	given(&o.Name, r.Name)
	given(&o.Color, r.Color)
	given(&o.SMTPAPIActivated, r.SMTPAPIActivated)
	given(&o.RawEmailEnabled, r.RawEmailEnabled)
	given(&o.InboundDomain, r.InboundDomain)
	given(&o.InboundHookURL, r.InboundHookURL)
	given(&o.InboundSpamThreshold, r.InboundSpamThreshold)
	given(&o.BounceHookURL, r.BounceHookURL)
	given(&o.OpenHookURL, r.OpenHookURL)
	given(&o.DeliveryHookURL, r.DeliveryHookURL)
	given(&o.ClickHookURL, r.ClickHookURL)
	given(&o.PostFirstOpenOnly, r.PostFirstOpenOnly)
	given(&o.TrackOpens, r.TrackOpens)
	given(&o.TrackLinks, r.TrackLinks)
	given(&o.IncludeBounceContentInHook, r.IncludeBounceContentInHook)
	given(&o.EnableSMTPAPIErrorHooks, r.EnableSMTPAPIErrorHooks)
	o.Name = strings.TrimSpace(o.Name)
	return o.check()
}

func (o *options) check() error {
	switch {
	case o.Name == "" || utf8.RuneCountInString(o.Name) > maxServerName || strings.ContainsFunc(o.Name, isControl):
		return fail(codeServerName, "The 'Name' of the server is required and may be at most %d characters long.", maxServerName)
	case !containsFold(colors, o.Color):
		return fail(codeServerColor, "The 'Color' must be one of %s.", strings.Join(colors, ", "))
	case o.InboundSpamThreshold < 0 || o.InboundSpamThreshold > maxSpamThreshold:
		return fail(codeSpamThreshold, "The 'InboundSpamThreshold' must be from 0 to %d.", maxSpamThreshold)
	case !containsFold([]string{linksNone, linksBoth, linksHTML, linksText}, o.TrackLinks):
		return fail(codeServerLinks, "The 'TrackLinks' value must be one of None, HtmlAndText, HtmlOnly, TextOnly.")
	case o.InboundDomain != "" && !isDomain(o.InboundDomain):
		return fail(codeInboundDomain, "The 'InboundDomain' is not valid: '%s'.", o.InboundDomain)
	}
	for name, hook := range map[string]string{"InboundHookUrl": o.InboundHookURL, "BounceHookUrl": o.BounceHookURL,
		"OpenHookUrl": o.OpenHookURL, "DeliveryHookUrl": o.DeliveryHookURL, "ClickHookUrl": o.ClickHookURL} {
		if target, err := url.Parse(hook); hook != "" && (err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https") {
			return fail(codeServerHook, "The '%s' is not a valid URL.", name)
		}
	}
	for _, known := range []string{linksNone, linksBoth, linksHTML, linksText} {
		if strings.EqualFold(known, o.TrackLinks) {
			o.TrackLinks = known
		}
	}
	return nil
}

// unique tells whether no server but v has the name or the inbound domain of o. The caller holds mu.
func (s *Simulator) unique(v *server, o *options) error {
	for _, other := range s.servers {
		switch {
		case v != nil && other.id == v.id:
		case strings.EqualFold(other.options.Name, o.Name):
			return fail(codeServerExists, "A server with the name '%s' exists already.", o.Name)
		case o.InboundDomain != "" && strings.EqualFold(other.options.InboundDomain, o.InboundDomain):
			return fail(codeInboundDomain, "The 'InboundDomain' '%s' is in use by another server.", o.InboundDomain)
		}
	}
	return nil
}

func (c *call) serverRequest() (r serverRequest, err error) {
	if c.body == nil {
		return r, fail(codeNoServerData, "No server data received.")
	}
	return r, decode(c.body, &r)
}

func (s *Simulator) createServer(c *call) (any, error) {
	r, err := c.serverRequest()
	if err != nil {
		return nil, err
	}
	o := newOptions("")
	given(&o.DeliveryType, r.DeliveryType)
	if o.DeliveryType != deliveryLive && o.DeliveryType != deliverySandbox {
		return nil, fail(codeServerDelivery, "The 'DeliveryType' must be 'Live' or 'Sandbox'.")
	}
	if err := r.apply(o); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.unique(nil, o); err != nil {
		return nil, err
	}
	if len(s.servers) >= maxServers {
		return nil, fail(codeServerAction, "There are at most %d servers.", maxServers)
	}
	v, err := s.establish(added{Name: s.freeName(o.Name), Token: s.freeToken(), CreatedAt: s.clock.Now(), Options: o})
	if err != nil {
		return nil, err
	}
	return v.body(), nil
}

// freeName is the wanted name, or one like it when a server was called so before it got another name. The caller holds mu.
func (s *Simulator) freeName(wanted string) string {
	if s.serverCalled(wanted) == nil {
		return wanted
	}
	return fmt.Sprintf("%s (%d)", wanted, s.lastServer+1)
}

// freeToken is a token that no server has. The caller holds mu.
func (s *Simulator) freeToken() string {
	for n := s.lastServer + 1; ; n++ {
		if token := fmt.Sprintf("%s-%d", DemoServerToken, n); s.serverCalled(token) == nil {
			return token
		}
	}
}

// editOwnServer is PUT /server.
func (s *Simulator) editOwnServer(c *call) (any, error) {
	return s.changeServer(c, func() (*server, error) { return s.serverOf(c) })
}

func (s *Simulator) editServer(c *call) (any, error) {
	return s.changeServer(c, func() (*server, error) { return s.findServer(c.args[0]) })
}

// changeServer puts what a request names in force. The name by which the control API knows the server stays: mails are found by it.
func (s *Simulator) changeServer(c *call, which func() (*server, error)) (any, error) {
	r, err := c.serverRequest()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := which()
	if err != nil {
		return nil, err
	}
	o := *v.options
	if err := r.apply(&o); err != nil {
		return nil, err
	}
	if err := s.unique(v, &o); err != nil {
		return nil, err
	}
	if err := s.keep(v, kindOptions, "", &o); err != nil {
		return nil, err
	}
	v.options = &o
	return v.body(), nil
}

func (s *Simulator) deleteServer(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.findServer(c.args[0])
	switch {
	case err != nil:
		return nil, err
	case v.added == nil:
		return nil, fail(codeServerStays, "The server of the sandbox's seed cannot be removed.")
	}
	if err := s.remove(v); err != nil {
		return nil, err
	}
	s.settings.Forget(v.name)
	return removed("Server %s removed.", v.options.Name), nil
}

type pushRequest struct {
	SourceServerID      *int
	DestinationServerID *int
	PerformChanges      bool
}

type pushList struct {
	TotalCount int
	Templates  []pushAction
}

type pushAction struct {
	Action       string
	TemplateID   *int64 `json:"TemplateId"`
	Alias        string
	Name         string
	TemplateType string
}

// pushTemplates copies those templates of a server that have an alias to another one, or only tells what it would do. All of it is done or
// nothing.
func (s *Simulator) pushTemplates(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeNoTemplateData, "No template data received.")
	}
	var r pushRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to, err := s.pushBetween(r)
	if err != nil {
		return nil, err
	}
	list := pushList{Templates: []pushAction{}}
	var made []*template
	last, active := to.lastTemplate, 0
	for _, t := range to.templates {
		if t.Active {
			active++
		}
	}
	for _, t := range from.pushable() {
		fresh := *t
		fresh.AssociatedServerID, fresh.parts = to.id, parts{}
		action := pushAction{Action: "Create", Alias: *t.Alias, Name: t.Name, TemplateType: t.TemplateType}
		switch old := to.templateByAlias(*t.Alias); {
		case old == nil:
			last, active = last+1, active+1
			fresh.TemplateID = last
		case old.TemplateType != t.TemplateType:
			return nil, fail(codeTemplatePushTypes, "The template '%s' has another 'TemplateType' on the destination server.", *t.Alias)
		default:
			action.Action, action.TemplateID, fresh.TemplateID = "Edit", &old.TemplateID, old.TemplateID
		}
		if r.PerformChanges {
			action.TemplateID = &fresh.TemplateID
		}
		list.Templates, made = append(list.Templates, action), append(made, &fresh)
	}
	switch list.TotalCount = len(made); {
	case list.TotalCount == 0:
		return nil, fail(codeTemplatePush, "The source server has no templates with an 'Alias' to push.")
	case active > maxTemplates:
		return nil, fail(codeTemplatePush, "The destination server may have at most %d active templates.", maxTemplates)
	}
	if r.PerformChanges {
		for _, t := range made {
			if err := s.saveTemplate(to, t); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// pushBetween finds the two servers of a push. The caller holds mu.
func (s *Simulator) pushBetween(r pushRequest) (from, to *server, err error) {
	find := func(id *int) *server {
		for _, v := range s.servers {
			if id != nil && v.id == *id {
				return v
			}
		}
		return nil
	}
	from, to = find(r.SourceServerID), find(r.DestinationServerID)
	switch {
	case from == nil && to == nil:
		return nil, nil, fail(codeNoServer, "The source and destination servers were not found.")
	case from == nil:
		return nil, nil, fail(codeNoServer, "The source server was not found.")
	case to == nil:
		return nil, nil, fail(codeNoServer, "The destination server was not found.")
	}
	return from, to, nil
}

// pushable are the active templates with an alias, layouts first: the others need them.
func (v *server) pushable() (list []*template) {
	for _, layouts := range []bool{true, false} {
		for _, t := range v.templates {
			if t.Active && t.Alias != nil && (t.TemplateType == typeLayout) == layouts {
				list = append(list, t)
			}
		}
	}
	return list
}

// notFound is the 404 that a few routes of the account have for what is not there.
func notFound(code int, format string, args ...any) error {
	f := fail(code, format, args...)
	f.status = http.StatusNotFound
	return f
}
