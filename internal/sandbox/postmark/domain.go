package postmark

import (
	"fmt"
	"slices"
	"strings"
)

// domain is a sender domain. Nothing is asked of the DNS: what a caller has verified is verified.
type domain struct {
	ID               int
	Name             string // lower case
	ReturnPathDomain string
	SPF, ReturnPath  bool // verified
	// Key is the number of the DKIM key in force, 0 while none was verified: then nothing may be sent from the domain. Pending waits for its
	// verification, Revoked may be removed from the DNS.
	Key, Pending, Revoked int
}

func (d *domain) number() int { return d.ID }

const maxDomain = 255

// publicDomains may be nobody's.
var publicDomains = strings.Fields("aol.com gmail.com googlemail.com gmx.com gmx.de hotmail.com icloud.com live.com mail.com mail.ru msn.com outlook.com " +
	"proton.me protonmail.com web.de yahoo.com yandex.ru")

type domainSummary struct {
	ID                       int
	Name                     string
	SPFVerified              bool
	DKIMVerified             bool
	WeakDKIM                 bool
	ReturnPathDomainVerified bool
}

// dnsBody is what the details of domains and of senders have of the DNS.
type dnsBody struct {
	SPFHost                       string
	SPFTextValue                  string
	DKIMHost                      string
	DKIMTextValue                 string
	DKIMPendingHost               string
	DKIMPendingTextValue          string
	DKIMRevokedHost               string
	DKIMRevokedTextValue          string
	SafeToRemoveRevokedKeyFromDNS bool
	DKIMUpdateStatus              string
	ReturnPathDomain              string
	ReturnPathDomainCNAMEValue    string
}

type domainDetails struct {
	domainSummary
	dnsBody
}

func (d *domain) summary() domainSummary {
	return domainSummary{ID: d.ID, Name: d.Name, SPFVerified: d.SPF, DKIMVerified: d.Key > 0, ReturnPathDomainVerified: d.ReturnPath}
}

func (d *domain) details() domainDetails { return domainDetails{d.summary(), d.dns()} }

func (d *domain) dns() dnsBody {
	body := dnsBody{SPFHost: d.Name, SPFTextValue: "v=spf1 a mx include:spf.sandbox.test ~all", SafeToRemoveRevokedKeyFromDNS: d.Revoked > 0,
		DKIMUpdateStatus: "Pending", ReturnPathDomain: d.ReturnPathDomain, ReturnPathDomainCNAMEValue: "pm.sandbox.test"}
	if d.Pending == 0 {
		body.DKIMUpdateStatus = "Verified"
	}
	body.DKIMHost, body.DKIMTextValue = d.key(d.Key)
	body.DKIMPendingHost, body.DKIMPendingTextValue = d.key(d.Pending)
	body.DKIMRevokedHost, body.DKIMRevokedTextValue = d.key(d.Revoked)
	return body
}

// key is where a DKIM key would stand in the DNS, and what. It is a key to nothing.
func (d *domain) key(number int) (host, text string) {
	if number == 0 {
		return "", ""
	}
	return fmt.Sprintf("sandbox%dpm._domainkey.%s", number, d.Name), fmt.Sprintf("k=rsa;p=SANDBOX%dKEY", number)
}

func (a *account) domainNamed(name string) *domain {
	for _, d := range a.domains {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// findDomain finds a domain by the id of a path. The caller holds mu.
func (s *Simulator) findDomain(c *call) (*domain, error) {
	if d := byNumber(s.account.domains, c.args[0]); d != nil {
		return d, nil
	}
	return nil, fail(codeNoDomain, "This domain was not found.")
}

// saveDomain keeps a domain and puts it in force. The caller holds mu.
func (s *Simulator) saveDomain(d *domain) error {
	if err := s.keepOfAccount(kindDomain, d.ID, d); err != nil {
		return err
	}
	s.account.last = max(s.account.last, d.ID)
	s.account.domains = with(s.account.domains, d)
	return nil
}

type domainList struct {
	TotalCount int
	Domains    []domainSummary
}

// page is the part of a list that a request asks for.
func page[T any](list []T, count, offset int) []T {
	from := min(offset, len(list))
	return list[from:min(from+count, len(list))]
}

func (s *Simulator) listDomains(c *call) (any, error) {
	count, offset, err := c.paging(codeSenderPaging)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := domainList{TotalCount: len(s.account.domains), Domains: []domainSummary{}}
	for _, d := range page(s.account.domains, count, offset) {
		list.Domains = append(list.Domains, d.summary())
	}
	return list, nil
}

func (s *Simulator) getDomain(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, err := s.findDomain(c)
	if err != nil {
		return nil, err
	}
	return d.details(), nil
}

type domainRequest struct {
	Name             *string
	ReturnPathDomain *string
}

func (c *call) domainRequest() (r domainRequest, err error) {
	if c.body == nil {
		return r, fail(codeDomainFields, "No domain data received.")
	}
	return r, decode(c.body, &r)
}

// checkDomain holds the rules for the name of a domain.
func checkDomain(name string) error {
	switch {
	case name == "":
		return fail(codeDomainRequired, "The 'Name' of the domain is required.")
	case len(name) > maxDomain:
		return fail(codeDomainLong, "The 'Name' of the domain may be at most %d characters long.", maxDomain)
	case !isDomain(name) || !strings.Contains(name, "."):
		return fail(codeDomainBad, "The 'Name' of the domain is not valid: '%s'.", name)
	case slices.Contains(publicDomains, name):
		return fail(codePublicDomain, "'%s' is a public domain and cannot be used.", name)
	}
	return nil
}

// returnTo gives the domain another return path, which must be below it, and is then not verified.
func (d *domain) returnTo(name *string) error {
	if name == nil || strings.EqualFold(*name, d.ReturnPathDomain) {
		return nil
	}
	path := strings.ToLower(strings.TrimSpace(*name))
	if path != "" && (!isDomain(path) || !strings.HasSuffix(path, "."+d.Name)) {
		return fail(codeDomainFields, "The 'ReturnPathDomain' must be a subdomain of '%s'.", d.Name)
	}
	d.ReturnPathDomain, d.ReturnPath = path, false
	return nil
}

func (s *Simulator) createDomain(c *call) (any, error) {
	r, err := c.domainRequest()
	if err != nil {
		return nil, err
	}
	var name string
	given(&name, r.Name)
	name = strings.ToLower(strings.TrimSpace(name))
	if err := checkDomain(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.account.domainNamed(name) != nil {
		return nil, fail(codeDomainExists, "The domain '%s' exists already.", name)
	}
	d := &domain{ID: s.account.last + 1, Name: name, Pending: 1}
	if err := d.returnTo(r.ReturnPathDomain); err != nil {
		return nil, err
	}
	if err := s.saveDomain(d); err != nil {
		return nil, err
	}
	return d.details(), nil
}

// changeDomain applies a change to the domain of a path.
func (s *Simulator) changeDomain(c *call, change func(*domain) error) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.findDomain(c)
	if err != nil {
		return nil, err
	}
	d := *old
	if err := change(&d); err != nil {
		return nil, err
	}
	if err := s.saveDomain(&d); err != nil {
		return nil, err
	}
	return d.details(), nil
}

func (s *Simulator) editDomain(c *call) (any, error) {
	r, err := c.domainRequest()
	if err != nil {
		return nil, err
	}
	return s.changeDomain(c, func(d *domain) error { return d.returnTo(r.ReturnPathDomain) })
}

// deleteDomain takes the senders of the domain away with it.
func (s *Simulator) deleteDomain(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.findDomain(c)
	if err != nil {
		return nil, err
	}
	for _, of := range s.account.senders {
		if of.domain() == d.Name {
			if err := s.removeSender(of); err != nil {
				return nil, err
			}
		}
	}
	if err := s.keepOfAccount(kindDomain, d.ID, nil); err != nil {
		return nil, err
	}
	s.account.domains = without(s.account.domains, d.ID)
	return removed("Domain %s removed.", d.Name), nil
}

func (s *Simulator) verifyDKIM(c *call) (any, error) {
	return s.changeDomain(c, func(d *domain) error { d.confirmKey(); return nil })
}

// confirmKey puts the key in force that waits for it.
func (d *domain) confirmKey() {
	if d.Pending > 0 {
		d.Key, d.Pending, d.Revoked = d.Pending, 0, d.Key
	}
}

// renew makes a key that waits for its verification.
func (d *domain) renew() error {
	if d.Pending > 0 {
		return fail(codeDKIMRenewing, "This DKIM is already being renewed.")
	}
	d.Pending, d.Revoked = d.Key+1, 0
	return nil
}

func (s *Simulator) verifyReturnPath(c *call) (any, error) {
	return s.changeDomain(c, func(d *domain) error { d.ReturnPath = d.ReturnPathDomain != ""; return nil })
}

func (s *Simulator) verifySPF(c *call) (any, error) {
	return s.changeDomain(c, func(d *domain) error { d.SPF = true; return nil })
}

func (s *Simulator) rotateDKIM(c *call) (any, error) {
	return s.changeDomain(c, (*domain).renew)
}
