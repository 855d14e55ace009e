package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
)

// Domains manages the domains that sub-accounts have whitelisted; *domain.Service does.
type Domains interface {
	Create(ctx context.Context, sub *directory.SubAccount, name string) (*directory.Domain, error)
	Domain(sub *directory.SubAccount, id int32) (*directory.Domain, error)
	Domains(sub *directory.SubAccount, search string) []*directory.Domain
	Delete(ctx context.Context, sub *directory.SubAccount, id int32) (*directory.Domain, error)
}

// domainAnswer is SendPost's Domain. Postyard verifies nothing of a domain: every provider asks for DNS records of its own. So it
// has no records to show but the usual one of DMARC, says that nothing is verified, and why.
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

// notChecked is why nothing of a domain is verified.
const notChecked = "not checked: the provider that sends for the domain asks for its own records and checks them"

func domainAnswerOf(d *directory.Domain) domainAnswer {
	return domainAnswer{ID: d.ID, Name: d.Name, Created: nanos(d.Created),
		DKIM: dnsRecord{Type: "TXT"}, SPF: dnsRecord{Type: "TXT"}, ReturnPath: dnsRecord{Type: "CNAME"}, Track: dnsRecord{Type: "CNAME"},
		DMARC:              dnsRecord{Host: "_dmarc." + d.Name, Type: "TXT", TextValue: "v=DMARC1; p=none;"},
		GPT:                dnsRecord{Host: d.Name, Type: "TXT"},
		DMARCFailureReason: notChecked, DKIMFailureReason: notChecked, TrackFailureReason: notChecked, ReturnPathFailureReason: notChecked}
}

// domainOperations are the operations on whitelisted domains.
func (s *server) domainOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/subaccount/domain", subAccountKey, "list whitelisted domains", s.forSubAccount(s.listDomains)).
			asks(pageParameters("name")...).answers(http.StatusOK, []domainAnswer{}),
		op(http.MethodPost, v1+"/subaccount/domain", subAccountKey, "whitelist a domain", s.forSubAccount(s.createDomain)).
			body(nameRequest{}).answers(http.StatusOK, domainAnswer{}),
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
		answers[i] = domainAnswerOf(d)
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
	return reply(w, http.StatusOK, domainAnswerOf(d))
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
	return reply(w, http.StatusOK, domainAnswerOf(d))
}

func (s *server) deleteDomain(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	d, err := s.Domains.Delete(r.Context(), sub, domainID(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: d.ID, Message: "Domain (" + d.Name + ") has been deleted successfully."})
}
