package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"postyard/internal/client"
)

// domains are each of another mailbox provider.
var domains = []string{"gmail.com", "yahoo.com", "outlook.com", "example.net", "icloud.com", "gmx.net", "aol.com", "comcast.net", "yandex.com",
	"mail.ru", "zoho.com", "qq.com"}

// requestBytes is how large the body of a request is.
const requestBytes = 2 << 10

// mails are requests to send one message each, to addresses that are all different.
type mails struct {
	templates []template // one for each domain
	next      atomic.Int64
}

// template is a request but for the number of its recipient.
type template struct {
	bytes []byte
	at    int // where the number stands
}

const digits = 9

// recipient is the address number n, which belongs to one of so many mailbox providers.
func recipient(n, providers int) string {
	return fmt.Sprintf("u%0*d@%s", digits, n, domains[n%providers])
}

func newMails(s *stage, providers int) *mails {
	m := &mails{}
	for i := range providers {
		email := s.scene.FirstEmail()
		email.To[0].Email = recipient(i, providers)
		email.CustomFields["note"] = ""
		body := encode(email)
		email.CustomFields["note"] = strings.Repeat("x", max(requestBytes-len(body), 0))
		body = encode(email)
		head := fmt.Sprintf("POST /api/v1/subaccount/email/ HTTP/1.1\r\nHost: %s\r\nX-SubAccount-ApiKey: %s\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n", s.address, s.scene.SubAccounts[0].APIKey, len(body))
		whole := append([]byte(head), body...)
		m.templates = append(m.templates, template{whole, bytes.Index(whole, []byte(email.To[0].Email)) + 1})
	}
	return m
}

func encode(email client.Email) []byte {
	body, err := json.Marshal(email)
	if err != nil {
		panic(err) // strings and maps of them
	}
	return body
}

func (m *mails) worker() *mailer {
	own := make([]template, len(m.templates))
	for i, t := range m.templates {
		own[i] = template{bytes.Clone(t.bytes), t.at}
	}
	return &mailer{mails: m, templates: own}
}

// mailer sends over one connection.
type mailer struct {
	mails        *mails
	templates    []template
	number       int
	acknowledged []acknowledgement
}

// acknowledgement is the id that the server gave to the message to recipient number n.
type acknowledgement struct {
	id uuid.UUID
	n  int32
}

func (m *mailer) request() []byte {
	m.number = int(m.mails.next.Add(1) - 1)
	t := m.templates[m.number%len(m.templates)]
	for i, n := digits-1, m.number; i >= 0; i, n = i-1, n/10 {
		t.bytes[t.at+i] = byte('0' + n%10)
	}
	return t.bytes
}

func (m *mailer) answer(status int, body []byte) error {
	var sent []client.Sent
	if err := json.Unmarshal(body, &sent); err != nil || status != 200 || len(sent) != 1 || sent[0].ErrorCode != 0 {
		return fmt.Errorf("send: status %d: %.200s", status, body)
	}
	id, err := uuid.Parse(sent[0].MessageID)
	if err != nil {
		return fmt.Errorf("send: the message id %q is none", sent[0].MessageID)
	}
	m.acknowledged = append(m.acknowledged, acknowledgement{id, int32(m.number)})
	return nil
}

// ledger is what was acknowledged, and what arrived of it.
type ledger struct {
	list         []entry
	position     map[uuid.UUID]int32 // in list, of ids that were acknowledged
	strangers    map[uuid.UUID]int   // arrivals of what was not: nobody answered for it
	twice        int                 // ids that were given to more than one message
	firstArrival time.Time
}

type entry struct {
	acknowledgement
	provider  uuid.UUID // the provider's id of the first arrival
	arrivedAt time.Time
	times     int
}

func newLedger() *ledger {
	return &ledger{position: map[uuid.UUID]int32{}, strangers: map[uuid.UUID]int{}}
}

func (l *ledger) len() int { return len(l.list) }

func (l *ledger) add(list []acknowledgement) {
	for _, a := range list {
		if _, known := l.position[a.id]; known {
			l.twice++
			continue
		}
		l.position[a.id] = int32(len(l.list))
		l.list = append(l.list, entry{acknowledgement: a})
	}
}

// inOrder puts the list into the order of acceptance: ids begin with their time. Providers send, and report, about in that order.
func (l *ledger) inOrder() {
	slices.SortFunc(l.list, func(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) })
	for i := range l.list {
		l.position[l.list[i].id] = int32(i)
	}
}

// forgetArrivals makes the ledger as it was before anything arrived.
func (l *ledger) forgetArrivals() {
	l.firstArrival = time.Time{}
	clear(l.strangers)
	for i := range l.list {
		l.list[i] = entry{acknowledgement: l.list[i].acknowledgement}
	}
}

// arrived notes that the provider got a message.
func (l *ledger) arrived(id, provider uuid.UUID, at time.Time) {
	if l.firstArrival.IsZero() || at.Before(l.firstArrival) {
		l.firstArrival = at
	}
	i, known := l.position[id]
	if !known {
		l.strangers[id]++
		return
	}
	e := &l.list[i]
	e.times++
	if e.times == 1 {
		e.provider, e.arrivedAt = provider, at
	}
}

// losses counts acknowledged messages that did not arrive, and arrivals beyond the first of any message.
func (l *ledger) losses() (lost, doubled int) {
	doubled = l.twice
	for i := range l.list {
		if l.list[i].times == 0 {
			lost++
		}
		doubled += max(l.list[i].times-1, 0)
	}
	for _, times := range l.strangers {
		doubled += times - 1
	}
	return lost, doubled
}

// delays are how long after a moment each message arrived.
func (l *ledger) delays(since time.Time) []time.Duration {
	var list []time.Duration
	for i := range l.list {
		if l.list[i].times > 0 {
			list = append(list, l.list[i].arrivedAt.Sub(since))
		}
	}
	return list
}
