package sendgrid

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// verifiedDomain is the domain that the account may send from.
const verifiedDomain = "example.com"

// send takes a request in: all its mails or none.
func (s *Simulator) send(c *call) (reply, error) {
	now := s.settings.Of(accountName)
	if now.Account == settings.AccountNotApproved {
		return reply{}, fail(http.StatusForbidden, textForbidden)
	}
	e, err := examine(c.body, s.clock.Now())
	if err != nil {
		return reply{}, err
	}
	if err := e.authorize(); err != nil {
		return reply{}, err
	}
	if e.sandboxed() {
		return reply{status: http.StatusOK}, nil
	}
	if err := s.linger(c, now); err != nil {
		return reply{}, err
	}
	id, mails, err := s.accept(e)
	if err != nil {
		return reply{}, err
	}
	if err := s.schedule(c.Context(), mails); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusAccepted, header: http.Header{messageID: {id}}}, nil
}

// authorize checks the senders.
func (e *envelope) authorize() error {
	senders := []address{e.From.of}
	for _, p := range e.personalizations.of {
		if p.of.From.set {
			senders = append(senders, p.of.From.of)
		}
	}
	for _, one := range senders {
		if _, domain, _ := strings.Cut(one.Email.of, "@"); !strings.EqualFold(domain, verifiedDomain) {
			return &failure{status: http.StatusForbidden, body: errorBody{[]problem{{Message: textSender, Field: new("from")}}}}
		}
	}
	return nil
}

// stored is a mail as the journal has it: its own part of the request, and the rest or where it is.
type stored struct {
	Shared json.RawMessage `json:"q,omitempty"` // when the mail is the only one of its request
	Own    json.RawMessage `json:"p"`
}

// accept stores the mails of a request.
func (s *Simulator) accept(e *envelope) (id string, mails []*store.Mail, err error) {
	list := e.personalizations.of
	s.mu.Lock()
	defer s.mu.Unlock()
	id = s.newID()
	alone := len(list) == 1
	if s.store.OnDisk() && !alone {
		if err := s.store.Put(store.Document{Provider: Provider, Kind: kindRequest, ID: id, Value: e.shared}); err != nil {
			return "", nil, fmt.Errorf("sendgrid: send: %w", err)
		}
	}
	batch := make([]store.New, len(list))
	for i := range batch {
		m := &content{owner: s.account, request: &e.request, own: &list[i].of, id: id, index: i}
		one := store.New{ID: mailID(id, i), Provider: Provider, Server: accountName, Stream: m.stream(), Content: m, Keys: m.keys()}
		if s.store.OnDisk() {
			record := stored{Own: e.own[i]}
			if alone {
				record.Shared = e.shared
			}
			if one.Raw, err = json.Marshal(record); err != nil {
				return "", nil, fmt.Errorf("sendgrid: send: %w", err)
			}
		}
		batch[i] = one
	}
	if mails, err = s.store.Add(batch); err != nil {
		return "", nil, fmt.Errorf("sendgrid: send: %w", err)
	}
	return id, mails, nil
}

// mailID is the id of one mail of a request.
func mailID(request string, index int) string {
	if index == 0 {
		return request
	}
	return request + "." + strconv.Itoa(index)
}

// splitID is the inverse of mailID.
func splitID(id string) (request string, index int) {
	request, tail, ok := strings.Cut(id, ".")
	if n, err := strconv.Atoi(tail); ok && err == nil {
		return request, n
	}
	return id, 0
}

func (s *Simulator) restoreRequest(id string, value json.RawMessage) error {
	var r request
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	s.requests[id] = &r
	return nil
}

// RestoreMail brings back a mail as it was accepted.
func (s *Simulator) RestoreMail(mail *store.Mail, raw json.RawMessage) (store.Content, []string, error) {
	var record stored
	if err := json.Unmarshal(raw, &record); err != nil {
		return nil, nil, err
	}
	m := &content{owner: s.account, own: &personalization{}}
	m.id, m.index = splitID(mail.ID)
	if err := json.Unmarshal(record.Own, m.own); err != nil {
		return nil, nil, err
	}
	if record.Shared != nil {
		m.request = &request{}
		if err := json.Unmarshal(record.Shared, m.request); err != nil {
			return nil, nil, err
		}
	} else if m.request = s.requests[m.id]; m.request == nil {
		return nil, nil, fmt.Errorf("sendgrid: no request %q", m.id)
	}
	return m, m.keys(), nil
}

type profile struct {
	Address   string `json:"address"`
	Address2  string `json:"address2"`
	City      string `json:"city"`
	Company   string `json:"company"`
	Country   string `json:"country"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Phone     string `json:"phone"`
	State     string `json:"state"`
	Website   string `json:"website"`
	Zip       string `json:"zip"`
}

func (*Simulator) profile(*call) (reply, error) {
	return reply{status: http.StatusOK, body: profile{Company: "Sandbox", Country: "US", FirstName: "Sandbox", LastName: "Account",
		Website: "https://" + verifiedDomain}}, nil
}
