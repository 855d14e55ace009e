package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
	"postyard/internal/domain"
)

// Domains manages the domains that sub-accounts have whitelisted; *domain.Service does.
type Domains interface {
	Create(ctx context.Context, sub *directory.SubAccount, name string) (*directory.Domain, error)
	Domain(sub *directory.SubAccount, id int32) (*directory.Domain, error)
	Named(sub *directory.SubAccount, name string) (*directory.Domain, error)
	Domains(sub *directory.SubAccount, search string) []*directory.Domain
	Verify(ctx context.Context, sub *directory.SubAccount, id int32) (*directory.Domain, error)
	Delete(ctx context.Context, sub *directory.SubAccount, id int32) (*directory.Domain, error)
	Records(d *directory.Domain) domain.Records
	Checks(d *directory.Domain) directory.DomainChecks
}

// domainAnswer is SendPost's Domain. It is verified as a whole when its DKIM key is: that alone decides whether mail is signed. A mailbox,
// Google's Postmaster Tools and the date of registration are not looked at.
type domainAnswer struct {
	ID                      int32     `json:"id"`
	Name                    string    `json:"name"`
	DKIM                    dnsRecord `json:"dkim"`
	SPF                     dnsRecord `json:"spf"`
	ReturnPath              dnsRecord `json:"returnPath"`
	Track                   dnsRecord `json:"track"`
	DMARC                   dnsRecord `json:"dmarc"`
	GPT                     dnsRecord `json:"gpt"`
	DKIMConfig              string    `json:"dkimConfig"`
	DKIMVerified            bool      `json:"dkimVerified"`
	SPFVerified             bool      `json:"spfVerified"`
	MailboxVerified         bool      `json:"mailboxVerified"`
	DMARCVerified           bool      `json:"dmarcVerified"`
	ReturnPathVerified      bool      `json:"returnPathVerified"`
	TrackVerified           bool      `json:"trackVerified"`
	GPTVerified             bool      `json:"gptVerified"`
	Verified                bool      `json:"verified"`
	DomainRegisteredDate    string    `json:"domainRegisteredDate"`
	Created                 int64     `json:"created"`
	DMARCFailureReason      string    `json:"dmarcFailureReason"`
	DKIMFailureReason       string    `json:"dkimFailureReason"`
	TrackFailureReason      string    `json:"trackFailureReason"`
	ReturnPathFailureReason string    `json:"returnPathFailureReason"`
}

// dnsRecord is a record that a domain is to have.
type dnsRecord struct {
	Host      string `json:"host"`
	Type      string `json:"type"`
	TextValue string `json:"textValue"`
}

func recordOf(r domain.Record) dnsRecord {
	return dnsRecord{Host: r.Host, Type: r.Type, TextValue: r.Value}
}

func (s *server) domainAnswerOf(d *directory.Domain) domainAnswer {
	r, c := s.Domains.Records(d), s.Domains.Checks(d)
	return domainAnswer{ID: d.ID, Name: d.Name, Created: nanos(d.Created),
		DKIM: recordOf(r.DKIM), SPF: recordOf(r.SPF), ReturnPath: recordOf(r.ReturnPath), Track: recordOf(r.Track), DMARC: recordOf(r.DMARC), GPT: recordOf(r.GPT),
		DKIMVerified: c.DKIM.Verified, SPFVerified: c.SPF.Verified, DMARCVerified: c.DMARC.Verified, ReturnPathVerified: c.ReturnPath.Verified,
		TrackVerified: c.Track.Verified, Verified: c.DKIM.Verified,
		DMARCFailureReason: c.DMARC.Reason, DKIMFailureReason: c.DKIM.Reason, TrackFailureReason: c.Track.Reason, ReturnPathFailureReason: c.ReturnPath.Reason}
}

// domainName names a domain in a query.
var domainName = parameter{Name: "name", Kind: "string", Required: true, Summary: "the domain"}

type domainExistsAnswer struct {
	Exists bool `json:"exists"`
}

type domainVerifiedAnswer struct {
	Verified bool `json:"verified"`
}

// domainOperations are the operations on whitelisted domains.
func (s *server) domainOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/subaccount/domain", subAccountKey, "list whitelisted domains", s.forSubAccount(s.listDomains)).
			asks(pageParameters("name")...).answers(http.StatusOK, []domainAnswer{}),
		op(http.MethodPost, v1+"/subaccount/domain", subAccountKey, "whitelist a domain", s.forSubAccount(s.createDomain)).
			body(nameRequest{}).answers(http.StatusOK, domainAnswer{}),
		op(http.MethodGet, v1+"/subaccount/domain/count", subAccountKey, "count whitelisted domains", s.forSubAccount(s.countDomains)).
			asks(parameter{Name: "search", Kind: "string", Summary: "part of the name"}).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, v1+"/subaccount/domain/names", subAccountKey, "list the names of whitelisted domains", s.forSubAccount(s.listDomainNames)).
			answers(http.StatusOK, []string{}),
		op(http.MethodGet, v1+"/subaccount/domain/exists", subAccountKey, "tell whether a domain is whitelisted", s.forSubAccount(s.domainExists)).
			asks(domainName).answers(http.StatusOK, domainExistsAnswer{}),
		op(http.MethodGet, v1+"/subaccount/domain/isverified", subAccountKey, "tell whether a domain is whitelisted and verified",
			s.forSubAccount(s.domainVerified)).asks(domainName).answers(http.StatusOK, domainVerifiedAnswer{}),
		op(http.MethodPost, v1+"/subaccount/domain/{id}/verify", subAccountKey, "look for the records of a whitelisted domain in DNS now",
			s.forSubAccount(s.verifyDomain)).answers(http.StatusOK, domainAnswer{}),
		op(http.MethodGet, v1+"/subaccount/domain/{id}", subAccountKey, "read a whitelisted domain", s.forSubAccount(s.getDomain)).
			answers(http.StatusOK, domainAnswer{}),
		op(http.MethodDelete, v1+"/subaccount/domain/{id}", subAccountKey, "delete a whitelisted domain", s.forSubAccount(s.deleteDomain)).
			answers(http.StatusOK, deletedAnswer{}),
	}
}

func (s *server) listDomains(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	list := cut(s.Domains.Domains(sub, p.search), p)
	answers := make([]domainAnswer, len(list))
	for i, d := range list {
		answers[i] = s.domainAnswerOf(d)
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) createDomain(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	name, err := readName(w, r)
	if err != nil {
		return err
	}
	d, err := s.Domains.Create(r.Context(), sub, name)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.domainAnswerOf(d))
}

// domainID reads the id in the path, which SendPost types as a string. One that no domain can have is an unknown one.
func domainID(r *http.Request) int32 {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 32)
	if err != nil {
		return 0
	}
	return int32(id)
}

func (s *server) getDomain(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	d, err := s.Domains.Domain(sub, domainID(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.domainAnswerOf(d))
}

func (s *server) deleteDomain(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	d, err := s.Domains.Delete(r.Context(), sub, domainID(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: d.ID, Message: "Domain (" + d.Name + ") has been deleted successfully."})
}

func (s *server) verifyDomain(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	d, err := s.Domains.Verify(r.Context(), sub, domainID(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.domainAnswerOf(d))
}

func (s *server) countDomains(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	return reply(w, http.StatusOK, countAnswer{len(s.Domains.Domains(sub, r.URL.Query().Get("search")))})
}

func (s *server) listDomainNames(w http.ResponseWriter, _ *http.Request, sub *directory.SubAccount) error {
	names := []string{}
	for _, d := range s.Domains.Domains(sub, "") {
		names = append(names, d.Name)
	}
	return reply(w, http.StatusOK, names)
}

func (s *server) domainExists(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	_, err := s.Domains.Named(sub, r.URL.Query().Get("name"))
	if err != nil && !errors.Is(err, domain.ErrNotFound) {
		return err
	}
	return reply(w, http.StatusOK, domainExistsAnswer{err == nil})
}

// domainVerified answers for a domain that is not whitelisted as for one that is not verified.
func (s *server) domainVerified(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	d, err := s.Domains.Named(sub, r.URL.Query().Get("name"))
	if err != nil && !errors.Is(err, domain.ErrNotFound) {
		return err
	}
	return reply(w, http.StatusOK, domainVerifiedAnswer{err == nil && d.Checks.DKIM.Verified})
}
