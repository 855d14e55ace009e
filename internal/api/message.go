package api

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/sendpost"
	"postyard/internal/store"
)

// person is SendPost's Person.
type person = sendpost.Person

// recipientAnswer is SendPost's Message.to: one object, with the copies as plain addresses (CL-5) and custom fields as
// strings (CL-4).
type recipientAnswer struct {
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	CC           []string          `json:"cc"`
	BCC          []string          `json:"bcc"`
	CustomFields map[string]string `json:"customFields"`
}

// messageAnswer is SendPost's Message.
type messageAnswer struct {
	MessageID       string            `json:"messageID"`
	AccountID       int32             `json:"accountID"`
	SubAccountID    int32             `json:"subAccountID"`
	IPID            int32             `json:"ipID"` // 0: it leaves through a TPSP
	AccountIPPoolID int32             `json:"accountIPPoolID"`
	PublicIP        string            `json:"publicIP"`
	LocalIP         string            `json:"localIP"`
	EmailType       string            `json:"emailType"`
	SubmittedAt     int64             `json:"submittedAt"`
	From            person            `json:"from"`
	ReplyTo         person            `json:"replyTo"`
	To              recipientAnswer   `json:"to"`
	HeaderTo        recipientAnswer   `json:"headerTo"`
	HeaderCC        []string          `json:"headerCc"`
	HeaderBCC       []string          `json:"headerBcc"`
	Attachments     []string          `json:"attachments"` // file names
	Groups          []string          `json:"groups"`
	IPPool          string            `json:"ipPool"`
	Headers         map[string]string `json:"headers"`
	CustomFields    map[string]string `json:"customFields"` // the request's own
	Subject         string            `json:"subject"`
	PreText         string            `json:"preText"`
	HTMLBody        string            `json:"htmlBody"`
	TextBody        string            `json:"textBody"`
	AMPBody         string            `json:"ampBody"`
	TrackOpens      bool              `json:"trackOpens"`
	TrackClicks     bool              `json:"trackClicks"`
	Attempt         int               `json:"attempt"`
	WebhookEndpoint string            `json:"webhookEndpoint"`
	MXRecords       []string          `json:"mxRecords"`
}

func (s *server) getMessage(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	m, err := s.findMessage(r, a)
	if err != nil {
		return err
	}
	answer, err := s.messageAnswer(r, m)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// messageAnswer shows a message, with the pool and the IP that the directory names.
func (s *server) messageAnswer(r *http.Request, m *store.Message) (messageAnswer, error) {
	answer, err := messageAnswerOf(m, s.poolName(m))
	if err != nil {
		return answer, fmt.Errorf("message %s: %w", m.ID, err)
	}
	answer.WebhookEndpoint = shownURL(r, answer.WebhookEndpoint)
	if t := s.Directory.Current().Egress(m.Egress); t != nil && t.IsIP() {
		answer.IPID, answer.PublicIP = t.IPID(), t.Name
	}
	return answer, nil
}

func (s *server) listMessageEvents(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	m, err := s.findMessage(r, a)
	if err != nil {
		return err
	}
	f := store.EventFilter{AccountID: a.ID, MessageID: m.ID}
	return s.replyEvents(w, r, f)
}

// findMessage reads the message that the path names.
func (s *server) findMessage(r *http.Request, a *directory.Account) (*store.Message, error) {
	id, ok := messageID(chi.URLParam(r, "id"))
	if !ok {
		return nil, notFound("this is not a message's id; there is nothing under it")
	}
	return s.Journal.Message(r.Context(), a.ID, id)
}

// poolName returns the name of the message's pool: as the request gave it, else that of the pool it was routed by.
func (s *server) poolName(m *store.Message) string {
	if m.Content.Pool != "" {
		return m.Content.Pool
	}
	if p := s.Directory.Current().Pool(m.AccountID, m.PoolID); p != nil {
		return p.Name
	}
	return ""
}

func messageAnswerOf(m *store.Message, pool string) (messageAnswer, error) {
	c := m.Content
	own, err := sendpost.Texts(m.Recipient.CustomFields)
	if err != nil {
		return messageAnswer{}, err
	}
	fields, err := sendpost.Texts(c.CustomFields)
	if err != nil {
		return messageAnswer{}, err
	}
	to := recipientAnswer{
		Name: m.Recipient.Name, Email: m.Recipient.Email, CC: addresses(m.Recipient.CC), BCC: addresses(m.Recipient.BCC),
		CustomFields: own,
	}
	answer := messageAnswer{
		MessageID: m.ID.String(), AccountID: m.AccountID, SubAccountID: m.SubAccountID, AccountIPPoolID: m.PoolID,
		EmailType: string(m.Mailbox), SubmittedAt: nanos(m.SubmittedAt), From: person{Name: c.From.Name, Email: c.From.Email},
		To: to, HeaderTo: to, HeaderCC: to.CC, HeaderBCC: to.BCC, Attachments: make([]string, len(c.Attachments)),
		Groups: orEmpty(c.Groups), IPPool: pool, Headers: c.Headers, CustomFields: fields,
		Subject: c.Subject, PreText: c.PreText, HTMLBody: c.HTML, TextBody: c.Text, AMPBody: c.AMP,
		TrackOpens: isTrue(c.TrackOpens), TrackClicks: isTrue(c.TrackClicks),
		Attempt: m.Attempts, WebhookEndpoint: c.WebhookEndpoint, MXRecords: []string{},
	}
	if c.ReplyTo != nil {
		answer.ReplyTo = person{Name: c.ReplyTo.Name, Email: c.ReplyTo.Email}
	}
	if answer.Headers == nil {
		answer.Headers = map[string]string{}
	}
	for i, file := range c.Attachments {
		answer.Attachments[i] = file.Filename
	}
	return answer, nil
}

func addresses(list []mail.Address) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.Email
	}
	return out
}

func isTrue(b *bool) bool { return b != nil && *b }
