package sendgrid

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"postyard/internal/sandbox/store"
)

// Names of events.
const (
	eventProcessed        = "processed"
	eventDelivered        = "delivered"
	eventDeferred         = "deferred"
	eventBounce           = "bounce"
	eventDropped          = "dropped"
	eventOpen             = "open"
	eventClick            = "click"
	eventSpamReport       = "spamreport"
	eventUnsubscribe      = "unsubscribe"
	eventGroupUnsubscribe = "group_unsubscribe"
	eventGroupResubscribe = "group_resubscribe"
)

// openMachine is the type of opens by a machine, such as Apple's image proxy.
const openMachine = "machine"

// eventName is SendGrid's name of an event.
func eventName(e store.Event) string {
	switch e.Kind {
	case store.Processed:
		return eventProcessed
	case store.Delivered:
		return eventDelivered
	case store.Deferred:
		return eventDeferred
	case store.Bounced:
		return eventBounce
	case store.Dropped:
		return eventDropped
	case store.Opened:
		return eventOpen
	case store.Clicked:
		return eventClick
	case store.Complained:
		return eventSpamReport
	case store.Subscribed:
		return e.Type
	}
	return string(e.Kind)
}

// lateName is the name of an event in the settings, which all providers share.
func lateName(e store.Event) string {
	switch e.Kind {
	case store.Processed:
		return "Processed"
	case store.Delivered:
		return "Delivery"
	case store.Deferred:
		return "Deferred"
	case store.Bounced:
		return "Bounce"
	case store.Dropped:
		return "Dropped"
	case store.Opened:
		return "Open"
	case store.Clicked:
		return "Click"
	case store.Complained:
		return "SpamComplaint"
	case store.Subscribed:
		return "SubscriptionChange"
	}
	return ""
}

// Samples of what a browser and a receiving server tell.
const (
	sampleIP     = "203.0.113.20"
	sampleSource = "167.89.17.173"
	sampleAgent  = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
	proxyAgent   = "Mozilla/5.0"
)

// detail is the remote server's answer to a mail that bounced or was deferred.
func detail(e store.Event) string {
	switch {
	case e.Kind == store.Delivered:
		return "250 2.0.0 OK"
	case e.Kind == store.Deferred:
		return "451 4.3.0 Temporary failure, please try again later."
	case e.Kind != store.Bounced:
		return ""
	}
	switch e.Type {
	case bounceBlocked:
		return "554 5.7.1 Message refused by policy."
	case bounceExpired:
		return "unable to get mx info: deferred for too long"
	}
	return "550 5.1.1 The email account that you tried to reach does not exist."
}

// payload is an event as a webhook is told it. before are the mail's events; custom arguments are members of the object, as there.
func (m *content) payload(mail *store.Mail, e store.Event, before []store.Event) map[string]any {
	name := eventName(e)
	p := make(map[string]any, 16)
	for key, text := range m.Metadata() {
		p[key] = text
	}
	maps.Copy(p, map[string]any{"email": e.Recipient, "timestamp": e.At.Unix(), "event": name, "sg_event_id": eventID(mail.ID, e.Seq),
		"sg_message_id": m.messageID(mail.ReceivedAt, e.Recipient)})
	// One category is a list in some events and a string in others.
	engagement := e.Kind == store.Opened || e.Kind == store.Clicked || e.Kind == store.Complained || e.Kind == store.Subscribed
	switch categories := m.categories(); {
	case len(categories) == 1 && engagement:
		p["category"] = categories[0]
	case len(categories) > 0:
		p["category"] = categories
	}
	if group := m.request.groupOf(); group != 0 && (name == eventGroupUnsubscribe || name == eventGroupResubscribe || e.Kind == store.Processed) {
		p["asm_group_id"] = group
	}
	if !engagement {
		p["smtp-id"] = "<" + m.id + "@ismtpd-sandbox.sendgrid.test>"
	}
	switch e.Kind {
	case store.Delivered:
		maps.Copy(p, map[string]any{"response": e.Detail, "tls": 1, "ip": sampleSource})
	case store.Deferred:
		maps.Copy(p, map[string]any{"response": e.Detail, "attempt": strconv.Itoa(attempt(e, before)), "ip": sampleSource})
	case store.Bounced:
		maps.Copy(p, bounced(e))
	case store.Dropped:
		maps.Copy(p, map[string]any{"reason": e.Type, "status": "5.0.0"})
	case store.Opened:
		maps.Copy(p, map[string]any{"useragent": sampleAgent, "ip": sampleIP, "sg_machine_open": e.Type == openMachine})
		if e.Type == openMachine {
			p["useragent"] = proxyAgent
		}
	case store.Clicked:
		kind := "html"
		if e.Text {
			kind = "text"
		}
		maps.Copy(p, map[string]any{"url": e.URL, "url_offset": map[string]any{"index": 0, "type": kind}, "useragent": sampleAgent, "ip": sampleIP})
	case store.Subscribed:
		maps.Copy(p, map[string]any{"useragent": sampleAgent, "ip": sampleIP})
	}
	return p
}

// bounced is what a bounce has that other events have not.
func bounced(e store.Event) map[string]any {
	class, status := "Invalid Addresses", "5.1.1"
	switch e.Type {
	case bounceBlocked:
		class, status = "Reputation", "4.0.0"
	case bounceExpired:
		class, status = "Technical", "4.4.7"
	}
	return map[string]any{"type": e.Type, "status": status, "reason": e.Detail, "bounce_classification": class, "ip": sampleSource, "tls": 1}
}

// attempt counts how often the mail had been deferred when an event happened, that included.
func attempt(e store.Event, before []store.Event) int {
	n := 1
	for _, b := range before {
		if b.Kind == store.Deferred && b.Recipient == e.Recipient && b.Seq < e.Seq {
			n++
		}
	}
	return n
}

// messageID is the sg_message_id of a recipient: what follows the first dot tells the mails of one request apart.
func (m *content) messageID(received time.Time, recipient string) string {
	return fmt.Sprintf("%s.filter0001-sandbox-%d-%X.%d", m.id, m.index, received.Unix(), max(0, slices.Index(m.own.recipients(), recipient)))
}

// eventID is the same for every post of one event, across restarts too, and differs between any two of them.
func eventID(mail string, seq int64) string {
	sum := sha256.New()
	_, _ = sum.Write([]byte(mail)) // a hash never fails
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(seq))
	_, _ = sum.Write(number[:])
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

// array is the body of a post: a JSON array with CRLF at its end.
func array(events []map[string]any) ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('[')
	for i, e := range events {
		raw, err := encode(e)
		if err != nil {
			return nil, fmt.Errorf("sendgrid: payload: %w", err)
		}
		if i > 0 {
			out.WriteString(",\r\n")
		}
		out.Write(raw)
	}
	out.WriteString("]\r\n")
	return out.Bytes(), nil
}

// samples is the body of a test: one event of each name, or of the one that is named.
func samples(now time.Time, only string) ([]byte, error) {
	m := &content{request: &request{}, own: &personalization{}, id: "14c5d75ce93.dfd.64b469"}
	m.request.Categories.of = []value[string]{{set: true, of: "cat facts"}}
	m.request.ASM.of.Group.of = groups[0]
	mail := &store.Mail{ID: m.id, ReceivedAt: now}
	kinds := []store.Event{{Kind: store.Processed}, {Kind: store.Deferred}, {Kind: store.Delivered}, {Kind: store.Opened},
		{Kind: store.Clicked, URL: "http://www.sendgrid.com/"}, {Kind: store.Bounced, Type: bounceHard}, {Kind: store.Dropped, Type: reasonBounced},
		{Kind: store.Complained}, {Kind: store.Subscribed, Type: eventUnsubscribe}, {Kind: store.Subscribed, Type: eventGroupUnsubscribe},
		{Kind: store.Subscribed, Type: eventGroupResubscribe}}
	var events []map[string]any
	for i, e := range kinds {
		if only != "" && only != eventName(e) {
			continue
		}
		e.Seq, e.At, e.Recipient, e.Detail = int64(i), now, "example@test.com", detail(e)
		events = append(events, m.payload(mail, e, nil))
	}
	return array(events)
}
