package ses

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

const (
	textRate      = "Maximum sending rate exceeded."
	textQuota     = "Daily message quota exceeded."
	textSuspended = "Sending suspended for this account. For more information, please check the inbox of the email address associated with your AWS account."
	textPaused    = "Email sending is disabled for this account."
)

// day is the time over which the quota counts.
const day = 24 * time.Hour

// noLimit is the rate that the account has when the sandbox is to set no limit.
const noLimit = 10_000

// sent is a message that counts toward the quota, once for each recipient.
type sent struct {
	at time.Time
	n  int
}

// recount brings back what counts toward the quota after a restart.
func (s *Simulator) recount(mails []*store.Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for _, mail := range mails {
		if m := contentOf(mail); now.Sub(mail.ReceivedAt) < day {
			s.sent = append(s.sent, sent{mail.ReceivedAt, len(m.recipients())})
		}
	}
}

// spent returns how much was sent since a time. The caller holds mu.
func (a *account) spent(since time.Time) int {
	n := 0
	for _, one := range slices.Backward(a.sent) {
		if !one.at.After(since) {
			break
		}
		n += one.n
	}
	return n
}

// charge counts a message to so many recipients, if the limits leave room for it. The caller holds mu.
func (s *Simulator) charge(now time.Time, n int, limits settings.Settings) error {
	old := slices.IndexFunc(s.sent, func(one sent) bool { return now.Sub(one.at) < day })
	if old < 0 {
		old = len(s.sent)
	}
	s.sent = s.sent[old:]
	if limits.SendQuota > 0 && s.spent(now.Add(-day))+n > limits.SendQuota {
		return fail(typeThrottled, "%s", textQuota)
	}
	if limits.SendRate > 0 && s.spent(now.Add(-time.Second)) >= limits.SendRate {
		return fail(typeThrottled, "%s", textRate)
	}
	s.sent = append(s.sent, sent{now, n})
	return nil
}

type accountBody struct {
	DedicatedIPAutoWarmupEnabled bool `json:"DedicatedIpAutoWarmupEnabled"`
	EnforcementStatus            string
	ProductionAccessEnabled      bool
	SendQuota                    sendQuota
	SendingEnabled               bool
	SuppressionAttributes        suppressionAttributes
}

type sendQuota struct {
	Max24HourSend   float64 // -1 is no limit
	MaxSendRate     float64 // per second
	SentLast24Hours float64
}

type suppressionAttributes struct{ SuppressedReasons []string }

func (s *Simulator) getAccount(*call) (any, error) {
	now := s.settings.Of(serverName)
	s.mu.RLock()
	defer s.mu.RUnlock()
	body := accountBody{EnforcementStatus: "HEALTHY", ProductionAccessEnabled: now.Account != settings.AccountPending, SendingEnabled: !s.paused,
		SendQuota:             sendQuota{Max24HourSend: -1, MaxSendRate: noLimit, SentLast24Hours: float64(s.spent(s.clock.Now().Add(-day)))},
		SuppressionAttributes: suppressionAttributes{[]string{reasonBounce, reasonComplaint}}}
	if now.SendQuota > 0 {
		body.SendQuota.Max24HourSend = float64(now.SendQuota)
	}
	if now.SendRate > 0 {
		body.SendQuota.MaxSendRate = float64(now.SendRate)
	}
	if now.Account == settings.AccountNotApproved {
		body.EnforcementStatus, body.SendingEnabled = "SHUTDOWN", false
	}
	return body, nil
}

type sendingRequest struct{ SendingEnabled bool }

func (s *Simulator) putSending(c *call) (any, error) {
	var r sendingRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.put(kindAccount, kindAccount, sendingDocument{!r.SendingEnabled}); err != nil {
		return nil, err
	}
	s.paused = !r.SendingEnabled
	return none{}, nil
}

// verified tells whether mail may be sent from an address: it, its domain, or a domain above that is verified. The caller holds mu.
func (a *account) verified(address string) bool {
	address = strings.ToLower(address)
	if a.identities[address] {
		return true
	}
	_, domain, _ := splitAddress(address)
	for domain != "" {
		if a.identities[domain] {
			return true
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return false
}

type identityBody struct {
	IdentityName             string `json:",omitempty"`
	IdentityType             string
	SendingEnabled           bool
	VerificationStatus       string
	VerifiedForSendingStatus bool `json:",omitempty"`
}

func identityOf(name string) identityBody {
	body := identityBody{IdentityName: name, IdentityType: "DOMAIN", SendingEnabled: true, VerificationStatus: "SUCCESS"}
	if strings.Contains(name, "@") {
		body.IdentityType = "EMAIL_ADDRESS"
	}
	return body
}

type identityList struct {
	EmailIdentities []identityBody
	NextToken       string `json:",omitempty"`
}

func (s *Simulator) listIdentities(c *call) (any, error) {
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.identities))
	s.mu.RUnlock()
	page, next, err := c.page(names)
	if err != nil {
		return nil, err
	}
	list := identityList{EmailIdentities: []identityBody{}, NextToken: next}
	for _, name := range page {
		list.EmailIdentities = append(list.EmailIdentities, identityOf(name))
	}
	return list, nil
}

func (s *Simulator) getIdentity(c *call) (any, error) {
	name := strings.ToLower(c.args[0])
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.identities[name] {
		return nil, notFound(typeNotFound, "Email identity <%s> does not exist.", c.args[0])
	}
	body := identityOf(name)
	body.IdentityName, body.VerifiedForSendingStatus = "", true
	return body, nil
}

type identityRequest struct{ EmailIdentity string }

// createIdentity adds a domain or an address. It is verified from then on: nobody is asked.
func (s *Simulator) createIdentity(c *call) (any, error) {
	var r identityRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	name := strings.ToLower(r.EmailIdentity)
	if strings.Contains(name, "@") {
		if err := checkAddress(name); err != nil {
			return nil, err
		}
	} else if !isDomain(name) {
		return nil, bad("Invalid domain name %s.", r.EmailIdentity)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identities[name] {
		return nil, fail(typeAlreadyExists, "Email identity %s already exist.", r.EmailIdentity)
	}
	if err := s.put(kindIdentity, name, true); err != nil {
		return nil, err
	}
	s.identities[name] = true
	return struct {
		IdentityType             string
		VerifiedForSendingStatus bool
	}{identityOf(name).IdentityType, true}, nil
}

func (s *Simulator) deleteIdentity(c *call) (any, error) {
	name := strings.ToLower(c.args[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.identities[name] {
		return nil, notFound(typeNotFound, "Email identity <%s> does not exist.", c.args[0])
	}
	if err := s.drop(kindIdentity, name); err != nil {
		return nil, err
	}
	delete(s.identities, name)
	return none{}, nil
}

// pageSize is how many entries a page has at most.
const pageSize = 1000

// page cuts a sorted list of names at PageSize, from where NextToken says.
func (c *call) page(names []string) (page []string, next string, err error) {
	size, query := pageSize, c.URL.Query()
	if text := query.Get("PageSize"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > pageSize {
			return nil, "", bad("PageSize must be from 1 to %d.", pageSize)
		}
	}
	from, found := slices.BinarySearch(names, query.Get("NextToken"))
	if found {
		from++
	}
	names = names[from:]
	if len(names) <= size {
		return names, "", nil
	}
	return names[:size], names[size-1], nil
}
