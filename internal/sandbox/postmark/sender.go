package postmark

import (
	"strings"
	"unicode/utf8"

	"postyard/internal/sandbox/store"
)

// sender is a sender signature: an address that may send once its owner has confirmed it, whether its domain is verified or not.
type sender struct {
	ID        int
	Name      string
	Email     string
	ReplyTo   string
	Note      string
	Confirmed bool
}

func (s *sender) number() int { return s.ID }

func (s *sender) domain() string { return address{Email: s.Email}.domain() }

const (
	maxSenderName = 250
	maxSenderMail = 255
	maxSenderNote = 400
)

type senderSummary struct {
	Domain              string
	EmailAddress        string
	ReplyToEmailAddress string
	Name                string
	Confirmed           bool
	ID                  int
}

type senderDetails struct {
	senderSummary
	SPFVerified              bool
	DKIMVerified             bool
	WeakDKIM                 bool
	ReturnPathDomainVerified bool
	dnsBody
	ConfirmationPersonalNote string
}

func (s *sender) summary() senderSummary {
	return senderSummary{Domain: s.domain(), EmailAddress: s.Email, ReplyToEmailAddress: s.ReplyTo, Name: s.Name, Confirmed: s.Confirmed, ID: s.ID}
}

// senderDetails are those of a sender, with its domain's. The caller holds mu.
func (s *Simulator) senderDetails(of *sender) senderDetails {
	details := senderDetails{senderSummary: of.summary(), ConfirmationPersonalNote: of.Note}
	if d := s.account.domainNamed(of.domain()); d != nil {
		sum := d.summary()
		details.SPFVerified, details.DKIMVerified, details.ReturnPathDomainVerified = sum.SPFVerified, sum.DKIMVerified, sum.ReturnPathDomainVerified
		details.dnsBody = d.dns()
	}
	return details
}

// findSender finds a sender by the id of a path. The caller holds mu.
func (s *Simulator) findSender(c *call) (*sender, error) {
	if of := byNumber(s.account.senders, c.args[0]); of != nil {
		return of, nil
	}
	return nil, notFound(codeNoSender, "This sender signature was not found.")
}

// saveSender keeps a sender and puts it in force. The caller holds mu.
func (s *Simulator) saveSender(of *sender) error {
	if err := s.keepOfAccount(kindSender, of.ID, of); err != nil {
		return err
	}
	s.account.last = max(s.account.last, of.ID)
	s.account.senders = with(s.account.senders, of)
	return nil
}

func (s *Simulator) removeSender(of *sender) error {
	if err := s.keepOfAccount(kindSender, of.ID, nil); err != nil {
		return err
	}
	s.account.senders = without(s.account.senders, of.ID)
	return nil
}

type senderList struct {
	TotalCount       int
	SenderSignatures []senderSummary
}

func (s *Simulator) listSenders(c *call) (any, error) {
	count, offset, err := c.paging(codeSenderPaging)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := senderList{TotalCount: len(s.account.senders), SenderSignatures: []senderSummary{}}
	for _, of := range page(s.account.senders, count, offset) {
		list.SenderSignatures = append(list.SenderSignatures, of.summary())
	}
	return list, nil
}

func (s *Simulator) getSender(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of, err := s.findSender(c)
	if err != nil {
		return nil, err
	}
	return s.senderDetails(of), nil
}

type senderRequest struct {
	FromEmail                *string
	Name                     *string
	ReplyToEmail             *string
	ReturnPathDomain         *string
	ConfirmationPersonalNote *string
}

func (c *call) senderRequest() (r senderRequest, err error) {
	if c.body == nil {
		return r, fail(codeNoSenderData, "No sender signature data received.")
	}
	return r, decode(c.body, &r)
}

// apply puts what a request names into a sender, but for the address, which stays.
func (r *senderRequest) apply(of *sender) error {
	given(&of.Name, r.Name)
	given(&of.ReplyTo, r.ReplyToEmail)
	given(&of.Note, r.ConfirmationPersonalNote)
	switch {
	case of.Name == "":
		return fail(codeDomainRequired, "The 'Name' of the sender signature is required.")
	case utf8.RuneCountInString(of.Name) > maxSenderName:
		return fail(codeDomainLong, "The 'Name' of the sender signature may be at most %d characters long.", maxSenderName)
	case utf8.RuneCountInString(of.Note) > maxSenderNote:
		return fail(codeSenderLong, "The 'ConfirmationPersonalNote' may be at most %d characters long.", maxSenderNote)
	case of.ReplyTo != "" && checkAddress("ReplyToEmail", of.ReplyTo) != nil:
		return fail(codeSenderBad, "The 'ReplyToEmail' is not a valid address: '%s'.", of.ReplyTo)
	}
	return nil
}

// newSender reads what a request wants of a new sender.
func (r *senderRequest) newSender() (*sender, error) {
	of := &sender{}
	given(&of.Email, r.FromEmail)
	of.Email = strings.TrimSpace(of.Email)
	switch {
	case of.Email == "":
		return nil, fail(codeSenderRequired, "The 'FromEmail' of the sender signature is required.")
	case len(of.Email) > maxSenderMail:
		return nil, fail(codeSenderLong, "The 'FromEmail' may be at most %d characters long.", maxSenderMail)
	case checkAddress("FromEmail", of.Email) != nil:
		return nil, fail(codeSenderBad, "The 'FromEmail' is not a valid address: '%s'.", of.Email)
	}
	if err := r.apply(of); err != nil {
		return nil, err
	}
	return of, checkDomain(of.domain())
}

// createSender adds a sender, and its domain when the account does not have it.
func (s *Simulator) createSender(c *call) (any, error) {
	r, err := c.senderRequest()
	if err != nil {
		return nil, err
	}
	of, err := r.newSender()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.account.senders {
		if strings.EqualFold(other.Email, of.Email) {
			return nil, fail(codeSenderExists, "A sender signature for '%s' exists already.", of.Email)
		}
	}
	if err := s.domainOf(of, r.ReturnPathDomain); err != nil {
		return nil, err
	}
	of.ID = s.account.last + 1
	if err := s.saveSender(of); err != nil {
		return nil, err
	}
	return s.senderDetails(of), nil
}

// domainOf makes sure that the domain of a sender is there and has the return path, if one is given. The caller holds mu.
func (s *Simulator) domainOf(of *sender, returnPath *string) error {
	d := domain{ID: s.account.last + 1, Name: of.domain(), Pending: 1}
	old := s.account.domainNamed(of.domain())
	if old != nil {
		d = *old
	}
	if err := d.returnTo(returnPath); err != nil {
		return err
	}
	if old != nil && *old == d {
		return nil
	}
	return s.saveDomain(&d)
}

func (s *Simulator) editSender(c *call) (any, error) {
	r, err := c.senderRequest()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.findSender(c)
	if err != nil {
		return nil, err
	}
	of := *old
	if err := r.apply(&of); err != nil {
		return nil, err
	}
	if err := s.domainOf(&of, r.ReturnPathDomain); err != nil {
		return nil, err
	}
	if err := s.saveSender(&of); err != nil {
		return nil, err
	}
	return s.senderDetails(&of), nil
}

func (s *Simulator) deleteSender(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, err := s.findSender(c)
	if err != nil {
		return nil, err
	}
	if err := s.removeSender(of); err != nil {
		return nil, err
	}
	return removed("Signature %s removed.", of.Email), nil
}

// resendConfirmation says that a mail was sent. None is; see ConfirmSender.
func (s *Simulator) resendConfirmation(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of, err := s.findSender(c)
	switch {
	case err != nil:
		return nil, err
	case of.Confirmed:
		return nil, fail(codeSenderReady, "The sender signature for '%s' is confirmed already.", of.Email)
	}
	return removed("The confirmation email for %s was sent again.", of.Email), nil
}

// ConfirmSender does what the owner of an address does with the link of a confirmation mail. A *store.Refusal says that there is no such
// sender.
func (s *Simulator) ConfirmSender(email string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range s.account.senders {
		if strings.EqualFold(old.Email, email) {
			of := *old
			of.Confirmed = true
			return s.saveSender(&of)
		}
	}
	return &store.Refusal{Reason: "there is no sender signature for " + email}
}

// changeDomainOf applies a change to the domain of the sender of a path.
func (s *Simulator) changeDomainOf(c *call, change func(*domain) error) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, err := s.findSender(c)
	if err != nil {
		return nil, err
	}
	old := s.account.domainNamed(of.domain())
	if old == nil { // not so: a domain goes with its senders
		return nil, fail(codeNoDomain, "This domain was not found.")
	}
	d := *old
	if err := change(&d); err != nil {
		return nil, err
	}
	if err := s.saveDomain(&d); err != nil {
		return nil, err
	}
	return s.senderDetails(of), nil
}

func (s *Simulator) verifySenderSPF(c *call) (any, error) {
	return s.changeDomainOf(c, func(d *domain) error { d.SPF = true; return nil })
}

func (s *Simulator) renewSenderDKIM(c *call) (any, error) {
	return s.changeDomainOf(c, (*domain).renew)
}
