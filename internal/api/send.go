package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/quickjson"
)

// sendRequest is SendPost's EmailMessageObject, with the keys that only its guides name (tpspTemplate, customFields).
type sendRequest struct {
	From            mail.Address      `json:"from"`
	ReplyTo         *mail.Address     `json:"replyTo"`
	To              []mail.Recipient  `json:"to"`
	Subject         string            `json:"subject"`
	PreText         string            `json:"preText"`
	HTMLBody        string            `json:"htmlBody"`
	TextBody        string            `json:"textBody"`
	AMPBody         string            `json:"ampBody"`
	IPPool          string            `json:"ippool"`
	TPSPTemplate    string            `json:"tpspTemplate"`
	CustomFields    json.RawMessage   `json:"customFields"`
	Headers         map[string]string `json:"headers"`
	TrackOpens      *bool             `json:"trackOpens"`
	TrackClicks     *bool             `json:"trackClicks"`
	Groups          []string          `json:"groups"`
	Attachments     []mail.Attachment `json:"attachments"`
	WebhookEndpoint string            `json:"webhookEndpoint"`

	TPSPIPPool string `json:"tpspIppool"` // the provider's own IP pool; SG-3
	SGIPPool   string `json:"sgIppool"`   // its older name

	// Of a stored template (EmailMessageWithTemplate), in each of the dialects of SendPost's documentation.
	Template          string          `json:"template"`
	TemplateID        json.RawMessage `json:"templateId"`
	TemplateVariables json.RawMessage `json:"templateVariables"`
	DynamicData       json.RawMessage `json:"dynamicData"`
}

// sendKeys are the keys of a sendRequest, in the order of its fields.
var sendKeys = []string{"from", "replyTo", "to", "subject", "preText", "htmlBody", "textBody", "ampBody", "ippool", "tpspTemplate", "customFields",
	"headers", "trackOpens", "trackClicks", "groups", "attachments", "webhookEndpoint", "tpspIppool", "sgIppool",
	"template", "templateId", "templateVariables", "dynamicData"}

// read reads a request that is as it should be, for a fifth of the time that decode takes. When it returns false, decode decides.
// What is not text shares memory with the body.
func (s *sendRequest) read(body []byte) bool {
	r := quickjson.New(body)
	r.Object(sendKeys, func(i int) {
		switch i {
		case 0:
			mail.ReadAddress(r, &s.From)
		case 1:
			mail.ReadReplyTo(r, &s.ReplyTo)
		case 2:
			quickjson.List(r, &s.To, func(to *mail.Recipient) { mail.ReadRecipient(r, to) })
		case 10:
			s.CustomFields = r.Raw()
		case 11:
			r.Strings(&s.Headers)
		case 12:
			r.Bool(&s.TrackOpens)
		case 13:
			r.Bool(&s.TrackClicks)
		case 14:
			quickjson.List(r, &s.Groups, r.String)
		case 15:
			quickjson.List(r, &s.Attachments, func(a *mail.Attachment) { mail.ReadAttachment(r, a) })
		case 20, 21, 22:
			*[...]*json.RawMessage{&s.TemplateID, &s.TemplateVariables, &s.DynamicData}[i-20] = r.Raw()
		default:
			r.String([...]*string{3: &s.Subject, 4: &s.PreText, 5: &s.HTMLBody, 6: &s.TextBody, 7: &s.AMPBody, 8: &s.IPPool, 9: &s.TPSPTemplate,
				16: &s.WebhookEndpoint, 17: &s.TPSPIPPool, 18: &s.SGIPPool, 19: &s.Template}[i])
		}
	})
	return r.Done()
}

// request returns what was asked for as every intake hands it over.
func (s *sendRequest) request() *accept.Request {
	return &accept.Request{
		Content: mail.Content{
			From: s.From, ReplyTo: s.ReplyTo, Subject: s.Subject, PreText: s.PreText,
			HTML: s.HTMLBody, Text: s.TextBody, AMP: s.AMPBody,
			Pool: s.IPPool, Template: s.TPSPTemplate, CustomFields: s.CustomFields,
			Headers: s.Headers, Groups: s.Groups, Attachments: s.Attachments,
			TrackOpens: s.TrackOpens, TrackClicks: s.TrackClicks, WebhookEndpoint: s.WebhookEndpoint,
			TPSPPool: cmp.Or(s.TPSPIPPool, s.SGIPPool),
		},
		Recipients: s.To,
	}
}

// emailResponse is SendPost's EmailResponse.
type emailResponse struct {
	To          string `json:"to"`
	SubmittedAt int64  `json:"submittedAt"`
	MessageID   string `json:"messageId"`
	ErrorCode   int    `json:"errorCode"`
	Message     string `json:"message"`
}

// send takes an email in. The answer has one entry for each entry of `to`, in the same order; those with an errorCode other
// than 0 were not taken.
func (s *server) send(w http.ResponseWriter, r *http.Request, a *directory.SubAccount) error {
	return s.takeIn(w, r, a, readEmail(false), answerEmail)
}

// sendTemplate takes an email in that must name a stored template.
func (s *server) sendTemplate(w http.ResponseWriter, r *http.Request, a *directory.SubAccount) error {
	return s.takeIn(w, r, a, readEmail(true), answerEmail)
}

// readEmail reads SendPost's form; templated asks for a stored template.
func readEmail(templated bool) reading {
	return func(_ *http.Request, body []byte) (mails, error) { return readEmailOf(body, templated) }
}

func readEmailOf(body []byte, templated bool) (mails, error) {
	var in sendRequest
	if !in.read(body) {
		in = sendRequest{}
		if err := decode(body, &in); err != nil {
			return mails{}, err
		}
	}
	request := in.request()
	var err error
	request.Stored, err = in.stored(templated)
	return mails{requests: []*accept.Request{request}}, err
}

func answerEmail(_ *http.Request, results []accept.Result) (written, error) {
	out := make([]emailResponse, len(results))
	for i, result := range results {
		out[i] = emailResponse{
			To: result.To, SubmittedAt: nanos(result.SubmittedAt), ErrorCode: int(result.Code), Message: result.Message,
		}
		if result.ID != (mail.ID{}) {
			out[i].MessageID = result.ID.String()
		}
	}
	return written{Status: http.StatusOK, Body: encodeResponses(out)}, nil
}

// encodeResponses writes what encoding/json would, for a fraction of the time.
func encodeResponses(list []emailResponse) []byte {
	dst := quickjson.AppendList(make([]byte, 0, 192*len(list)+2), list, func(dst []byte, one *emailResponse) []byte {
		dst = quickjson.AppendField(append(dst, '{'), "to", one.To)
		dst = strconv.AppendInt(quickjson.AppendKey(dst, "submittedAt"), one.SubmittedAt, 10)
		dst = quickjson.AppendField(dst, "messageId", one.MessageID)
		dst = strconv.AppendInt(quickjson.AppendKey(dst, "errorCode"), int64(one.ErrorCode), 10)
		return append(quickjson.AppendField(dst, "message", one.Message), '}')
	})
	return append(dst, '\n')
}
