package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/template"
)

// shownSource is how much of a message's source stands in an answer; the whole of it is a file.
const shownSource = 256 << 10

// Fillers fill messages in for their recipients; *template.Service does.
type Fillers interface {
	// Outgoing returns the content with which a message leaves through an egress, or the outcome when it cannot.
	Outgoing(ctx context.Context, t *directory.TPSP, capable provider.Capabilities, j *store.Job) (*mail.Content, *provider.Outcome)

	// Render fills in a mirrored template.
	Render(ctx context.Context, accountID int32, prefer []int32, alias string, model json.RawMessage) (template.Rendered, error)
}

// contentAnswer is what a message holds, as its recipient gets it as far as that is known.
type contentAnswer struct {
	MessageID   string             `json:"messageID"`
	From        person             `json:"from"`
	ReplyTo     *person            `json:"replyTo"` // null: there is none
	To          person             `json:"to"`
	CC          []person           `json:"cc"`
	BCC         []person           `json:"bcc"`
	Subject     string             `json:"subject"`
	PreText     string             `json:"preText"`
	Headers     map[string]string  `json:"headers"`
	HTML        string             `json:"html"`
	Text        string             `json:"text"`
	AMP         string             `json:"amp"`
	Template    string             `json:"template"` // that the request names, "" for none
	Model       json.RawMessage    `json:"model"`    // what is filled in: the custom fields
	Rendered    string             `json:"rendered"` // who fills it in: request (nothing is, or the request's own tags), postyard (the mirrored template), provider (a preview from the mirror), none
	Note        string             `json:"note"`     // what is to be known of the above, "" for nothing
	Attachments []attachmentAnswer `json:"attachments"`
	Source      *sourceAnswer      `json:"source"` // null: it is not known
}

// attachmentAnswer is an attached file. Its bytes are at .../content/attachment/{n}.
type attachmentAnswer struct {
	N    int    `json:"n"` // from 0
	Name string `json:"name"`
	Type string `json:"type"`
	Size int    `json:"size"` // bytes
}

// sourceAnswer is a message as it is handed to its provider.
type sourceAnswer struct {
	MediaType string `json:"mediaType"` // message/rfc822 or application/json
	Text      string `json:"text"`
	Size      int    `json:"size"`      // bytes of the whole
	Truncated bool   `json:"truncated"` // the rest is in the file at .../content/source
	Note      string `json:"note"`
}

// contentOperations show what messages hold.
func (s *server) contentOperations(v1 string) []operation {
	const of = "/account/message/{id}/content"
	return []operation{
		op(http.MethodGet, v1+of, accountKey, "read what a message holds, as its recipient gets it", s.forAccount(s.getContent)).
			answers(http.StatusOK, contentAnswer{}),
		op(http.MethodGet, v1+of+"/html", accountKey, "the message's HTML alone, which can do no harm: no scripts, nothing from elsewhere", s.forAccount(s.getContentHTML)).
			answers(http.StatusOK, nil).as("text/html"),
		op(http.MethodGet, v1+of+"/source", accountKey, "the message as it is handed to its provider, as a file", s.forAccount(s.getContentSource)).
			answers(http.StatusOK, nil).as(provider.MediaMIME, provider.MediaJSON),
		op(http.MethodGet, v1+of+"/attachment/{n}", accountKey, "an attached file", s.forAccount(s.getAttachment)).
			answers(http.StatusOK, nil).as("application/octet-stream"),
	}
}

// composed is a message as it leaves, or would leave, through its egress.
type composed struct {
	message  *store.Message
	content  *mail.Content // shown
	outgoing *mail.Content // handed over; nil: it cannot be
	egress   *directory.TPSP
	rendered string
	note     string
}

// Who fills a message in.
const (
	renderedByRequest  = "request"
	renderedByUs       = "postyard"
	renderedByProvider = "provider"
	renderedByNone     = "none"
)

// compose fills a message in.
func (s *server) compose(r *http.Request, a *directory.Account) (*composed, error) {
	m, err := s.findMessage(r, a)
	if err != nil {
		return nil, err
	}
	c := &composed{message: m, content: m.Content, rendered: renderedByRequest}
	t := s.Directory.Current().Egress(m.Egress)
	if t == nil || t.AccountID != a.ID {
		c.note = "it is on its way to no provider"
		if m.Content.Template != "" {
			c.rendered = renderedByNone
		}
		return c, nil
	}
	c.egress = t
	capable, _ := s.Kinds.Capable(t.Type)
	out, failed := s.Fill.Outgoing(r.Context(), t, capable, &store.Job{ID: m.ID, AccountID: m.AccountID, SubAccountID: m.SubAccountID, Mailbox: m.Mailbox,
		Content: m.Content, Recipient: m.Recipient, Plan: m.Plan, Egress: m.Egress, SubmittedAt: m.SubmittedAt, Attempt: m.Attempts})
	switch {
	case failed != nil:
		c.rendered, c.note = renderedByNone, "it cannot be filled in: "+failed.Text
		return c, nil
	case out.Template == "":
		out = withoutLeaving(out)
		c.content, c.outgoing = out, out
		switch {
		case m.Content.Template == "":
		case m.Content.HasBody() && s.unknownTemplate(m):
			c.note = "no template of this name is known, so the request's own body is used"
		default:
			c.rendered, c.note = renderedByUs, "filled in by Postyard from its copy of the template, as that is now"
		}
		return c, nil
	}
	c.outgoing = out
	return c, s.preview(r.Context(), c)
}

// leaving are links that unsubscribe whoever they are of.
var leaving = regexp.MustCompile(`(/track/tpsp/unsubscribe/)[\w.-]+`)

// withoutLeaving takes the links away that act for the recipient: whoever looks at a message must not hold them.
func withoutLeaving(c *mail.Content) *mail.Content {
	out := *c
	for _, text := range []*string{&out.Subject, &out.HTML, &out.Text, &out.AMP, &out.PreText} {
		*text = leaving.ReplaceAllString(*text, "${1}hidden")
	}
	return &out
}

// unknownTemplate tells whether the account has no copy of the template that a message names.
func (s *server) unknownTemplate(m *store.Message) bool {
	return !slices.ContainsFunc(s.Templates.List(m.AccountID), func(l template.Listed) bool {
		return !l.Layout && strings.EqualFold(l.Alias, m.Content.Template)
	})
}

// preview fills in a copy of a template that the provider fills in itself.
func (s *server) preview(ctx context.Context, c *composed) error {
	m := c.message
	model, err := mail.MergeFields(m.Content.CustomFields, m.Recipient.CustomFields)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	filled, err := s.Fill.Render(ctx, m.AccountID, []int32{m.Egress.TPSPID()}, m.Content.Template, model)
	var unusable *template.UnusableError
	switch {
	case err == nil:
		shown := *m.Content
		shown.Subject, shown.HTML, shown.Text, shown.AMP, shown.PreText = filled.Subject, filled.HTML, filled.Text, "", ""
		c.content, c.rendered, c.note = &shown, renderedByProvider, "the provider fills its template in; this is filled in from Postyard's copy of it, as that is now"
	case errors.Is(err, template.ErrUnknown):
		c.rendered, c.note = renderedByNone, "the provider fills its template in, and Postyard has no copy of it"
	case errors.As(err, &unusable):
		c.rendered, c.note = renderedByNone, "the provider fills its template in; "+err.Error()
	default:
		return err
	}
	return nil
}

// source returns the message as it is handed to its provider, or says why that is not known.
func (s *server) source(c *composed) (w provider.Written, why string) {
	if c.outgoing == nil || c.egress == nil {
		return w, c.note
	}
	m := c.message
	w, ok, err := s.Kinds.Write(c.egress.Type, provider.Connection{AccountID: m.AccountID, TPSPID: c.egress.ID, Stream: c.egress.Stream},
		&provider.Outgoing{ID: m.ID, AccountID: m.AccountID, SubAccountID: m.SubAccountID, TPSPID: c.egress.ID, Mailbox: m.Mailbox, Content: c.outgoing, Recipient: m.Recipient})
	switch {
	case err != nil:
		return w, "it cannot be written: " + err.Error()
	case !ok:
		return w, "nothing is known of how this provider is handed messages"
	}
	return w, ""
}

func (s *server) getContent(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	c, err := s.compose(r, a)
	if err != nil {
		return err
	}
	m, shown := c.message, c.content
	answer := contentAnswer{MessageID: m.ID.String(), From: person{Name: shown.From.Name, Email: shown.From.Email}, To: person{Name: m.Recipient.Name, Email: m.Recipient.Email},
		CC: persons(m.Recipient.CC), BCC: persons(m.Recipient.BCC), Subject: shown.Subject, PreText: shown.PreText, Headers: shown.Headers, HTML: shown.HTML, Text: shown.Text,
		AMP: shown.AMP, Template: m.Content.Template, Rendered: c.rendered, Note: c.note, Attachments: make([]attachmentAnswer, len(shown.Attachments))}
	if answer.Model, err = mail.MergeFields(m.Content.CustomFields, m.Recipient.CustomFields); err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	if shown.ReplyTo != nil {
		answer.ReplyTo = &person{Name: shown.ReplyTo.Name, Email: shown.ReplyTo.Email}
	}
	if answer.Headers == nil {
		answer.Headers = map[string]string{}
	}
	for i, file := range shown.Attachments {
		answer.Attachments[i] = attachmentAnswer{N: i, Name: file.Filename, Type: mail.FileType(file.Filename), Size: base64.StdEncoding.DecodedLen(len(file.Content)) - padding(file.Content)}
	}
	if written, why := s.source(c); why == "" {
		source := sourceAnswer{MediaType: written.MediaType, Size: len(written.Body), Note: "as it would be handed over now, without links that count opens and clicks and without signatures"}
		if written.MediaType == provider.MediaJSON {
			written.Body = indented(written.Body)
		}
		if len(written.Body) > shownSource {
			written.Body, source.Truncated = written.Body[:shownSource], true
		}
		source.Text = strings.ToValidUTF8(string(written.Body), "")
		answer.Source = &source
	}
	return reply(w, http.StatusOK, answer)
}

// indented is JSON for people; what is larger than is shown stays as it is.
func indented(body []byte) []byte {
	var b bytes.Buffer
	if len(body) > shownSource || json.Indent(&b, body, "", "  ") != nil {
		return body
	}
	return b.Bytes()
}

// padding counts the characters at the end of base64 that stand for nothing.
func padding(content string) int { return len(content) - len(strings.TrimRight(content, "=")) }

func persons(list []mail.Address) []person {
	out := make([]person, len(list))
	for i, a := range list {
		out[i] = person{Name: a.Name, Email: a.Email}
	}
	return out
}

// linkTag begins what may connect to elsewhere before any policy is asked (rel=preconnect). Styles of elsewhere would not be loaded anyway.
var linkTag = regexp.MustCompile(`(?i)<link\b`)

// framePolicy lets what strangers wrote be shown: without scripts, forms, plugins, and without anything from elsewhere, so that nobody hears of it
// either.
const framePolicy = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

func (s *server) getContentHTML(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	c, err := s.compose(r, a)
	if err != nil {
		return err
	}
	body := mail.WithPreheader(c.content.HTML, c.content.PreText)
	if c.content.HTML == "" {
		body = `<!doctype html><meta charset="utf-8"><pre style="white-space:pre-wrap">` + html.EscapeString(c.content.Text) + `</pre>`
	}
	body = linkTag.ReplaceAllString(body, "<x-link")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", framePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-DNS-Prefetch-Control", "off")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h["X-Content-Type-Options"], h["Cache-Control"] = contentTypeOptions, cacheControl
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(strings.ToValidUTF8(body, "\uFFFD")))
	return nil
}

func (s *server) getContentSource(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	c, err := s.compose(r, a)
	if err != nil {
		return err
	}
	written, why := s.source(c)
	if why != "" {
		return notFound(why)
	}
	name := c.message.ID.String() + ".eml"
	if written.MediaType == provider.MediaJSON {
		name = c.message.ID.String() + ".json"
	}
	replyFile(w, written.MediaType, name, written.Body)
	return nil
}

func (s *server) getAttachment(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	m, err := s.findMessage(r, a)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(chi.URLParam(r, "n"))
	if err != nil || n < 0 || n >= len(m.Content.Attachments) {
		return notFound("the message has no such attachment; they are counted from 0")
	}
	file := m.Content.Attachments[n]
	body, err := base64.StdEncoding.DecodeString(file.Content)
	if err != nil {
		return notFound("the attachment is no base64")
	}
	replyFile(w, "application/octet-stream", file.Filename, body)
	return nil
}

// replyFile answers with a file that is saved, and not shown.
func replyFile(w http.ResponseWriter, mediaType, name string, body []byte) {
	if !utf8.ValidString(name) || strings.ContainsAny(name, `/\`) || name == "" {
		name = "attachment"
	}
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	if disposition == "" {
		disposition = "attachment"
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h["X-Content-Type-Options"], h["Cache-Control"] = contentTypeOptions, cacheControl
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
}
