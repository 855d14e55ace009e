package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/sandbox/fault"
	"postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/strictjson"
)

const (
	defaultLimit = 100
	maxLimit     = 2000
	maxArrivals  = 10_000
	maxControl   = 1 << 20 // bytes of a control request
)

// messageView is a mail in the control API.
type messageView struct {
	ID            string             `json:"id"`
	Provider      string             `json:"provider"`
	Server        string             `json:"server"`
	Stream        string             `json:"stream"`
	From          string             `json:"from"`
	To            string             `json:"to"`
	Cc            string             `json:"cc"`
	Bcc           string             `json:"bcc"`
	ReplyTo       string             `json:"replyTo"`
	Subject       string             `json:"subject"`
	Tag           string             `json:"tag"`
	Metadata      map[string]string  `json:"metadata"`
	Headers       []store.Header     `json:"headers"`
	Attachments   []store.Attachment `json:"attachments"`
	Text          string             `json:"text"`
	HTML          string             `json:"html"`
	TemplateAlias string             `json:"templateAlias"`
	Model         json.RawMessage    `json:"model"`
	RenderError   string             `json:"renderError,omitempty"`
	TrackOpens    bool               `json:"trackOpens"`
	TrackLinks    string             `json:"trackLinks"`
	ReceivedAt    time.Time          `json:"receivedAt"`
	Events        []eventView        `json:"events"`
}

// eventView is an event in the control API.
type eventView struct {
	Kind      store.Kind `json:"kind"`
	Type      string     `json:"type,omitempty"`
	Recipient string     `json:"recipient"`
	At        time.Time  `json:"at"`
	URL       string     `json:"url,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	BounceID  int64      `json:"bounceId,omitempty"`
	// WebhooksPending is how many webhooks have not taken the event yet.
	WebhooksPending int `json:"webhooksPending"`
}

func viewEvents(events []store.Event) []eventView {
	views := make([]eventView, len(events))
	for i, e := range events {
		views[i] = eventView{Kind: e.Kind, Type: e.Type, Recipient: e.Recipient, At: e.At, URL: e.URL, Detail: e.Detail,
			BounceID: e.ID, WebhooksPending: len(e.Pending)}
	}
	return views
}

func (b *Sandbox) view(mail *store.Mail) messageView {
	v := mail.Content.View()
	out := messageView{ID: mail.ID, Provider: mail.Provider, Server: mail.Server, Stream: mail.Stream, From: v.From, To: v.To, Cc: v.Cc,
		Bcc: v.Bcc, ReplyTo: v.ReplyTo, Subject: v.Subject, Tag: v.Tag, Metadata: v.Metadata, Headers: v.Headers,
		Attachments: v.Attachments, Text: v.Text, HTML: v.HTML, TemplateAlias: v.TemplateAlias, Model: v.Model,
		RenderError: v.RenderError, TrackOpens: v.TrackOpens, TrackLinks: v.TrackLinks, ReceivedAt: mail.ReceivedAt,
		Events: viewEvents(b.store.Events(mail))}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	if out.Headers == nil {
		out.Headers = []store.Header{}
	}
	if out.Attachments == nil {
		out.Attachments = []store.Attachment{}
	}
	return out
}

func (b *Sandbox) health(w http.ResponseWriter, _ *http.Request) {
	webhooks := 0
	for _, server := range b.servers() {
		webhooks += server.Webhooks
	}
	b.reply(w, http.StatusOK, map[string]any{"status": "ok", "simulator": true, "messages": b.store.Len(), "webhooks": webhooks})
}

// servers are those of all providers.
func (b *Sandbox) servers() []store.Server {
	var list []store.Server
	for _, name := range slices.Sorted(maps.Keys(b.providers)) {
		list = append(list, b.providers[name].Servers()...)
	}
	return list
}

func (b *Sandbox) listMessages(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", defaultLimit, maxLimit)
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	offset, err := number(r, "offset", 0, 1<<31)
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	q := store.Query{Limit: limit, Offset: offset}
	if to := r.FormValue("to"); to != "" {
		q.Keys = append(q.Keys, store.Key(store.FieldRecipient, strings.ToLower(to)))
	}
	if id := r.FormValue("messageId"); id != "" {
		q.Keys = append(q.Keys, store.Key(store.FieldMetadata("messageid"), id))
	}
	total, mails := b.store.Find(q)
	list := struct {
		Total    int           `json:"total"`
		Messages []messageView `json:"messages"`
	}{total, make([]messageView, len(mails))}
	for i, mail := range mails {
		list.Messages[i] = b.view(mail)
	}
	b.reply(w, http.StatusOK, list)
}

// arrivalView is a mail as who counts needs it.
type arrivalView struct {
	ID         string    `json:"id"`
	MessageID  string    `json:"messageId"` // the gateway's
	ReceivedAt time.Time `json:"receivedAt"`
}

// listArrivals lists what arrived without the work of showing it.
func (b *Sandbox) listArrivals(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", defaultLimit, maxArrivals)
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	offset, err := number(r, "offset", 0, 1<<31)
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	total, mails := b.store.Find(store.Query{Limit: limit, Offset: offset})
	list := struct {
		Total    int           `json:"total"`
		Arrivals []arrivalView `json:"arrivals"`
	}{total, make([]arrivalView, len(mails))}
	for i, mail := range mails {
		list.Arrivals[i] = arrivalView{ID: mail.ID, MessageID: metadata(mail, "messageId"), ReceivedAt: mail.ReceivedAt}
	}
	b.reply(w, http.StatusOK, list)
}

// metadata finds a value whose key may be spelt in any case, as the lookups do.
func metadata(mail *store.Mail, key string) string {
	all := mail.Content.Metadata()
	if value, ok := all[key]; ok {
		return value
	}
	for name, value := range all {
		if strings.EqualFold(name, key) {
			return value
		}
	}
	return ""
}

func number(r *http.Request, name string, missing, most int) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s must be a number from 0 to %d, got %q", name, most, text)
	}
	return n, nil
}

// lookUp finds the mail of a path: by its id, or, as ids of UUIDs may be spelt, by that in lower case.
func (b *Sandbox) lookUp(r *http.Request) (*store.Mail, bool) {
	if mail, ok := b.store.Get(r.PathValue("id")); ok {
		return mail, true
	}
	return b.store.Get(strings.ToLower(r.PathValue("id")))
}

func (b *Sandbox) mail(w http.ResponseWriter, r *http.Request) (*store.Mail, bool) {
	mail, ok := b.lookUp(r)
	if !ok {
		b.refuse(w, http.StatusNotFound, fmt.Errorf("there is no message %q", r.PathValue("id")))
	}
	return mail, ok
}

func (b *Sandbox) getMessage(w http.ResponseWriter, r *http.Request) {
	if mail, ok := b.mail(w, r); ok {
		b.reply(w, http.StatusOK, b.view(mail))
	}
}

// getSource shows a mail as it came, byte by byte.
func (b *Sandbox) getSource(w http.ResponseWriter, r *http.Request) {
	mail, ok := b.mail(w, r)
	if !ok {
		return
	}
	content, ok := mail.Content.(store.Sourced)
	if !ok {
		b.refuse(w, http.StatusNotFound, errors.New("the message did not come as mail: there is no source"))
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", "attachment")
	if _, err := w.Write(content.Source()); err != nil {
		b.log.Debug("a source could not be shown", "error", err)
	}
}

func (b *Sandbox) raiseEvent(w http.ResponseWriter, r *http.Request) {
	mail, ok := b.mail(w, r)
	if !ok {
		return
	}
	raw, err := controlBody(w, r)
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	var wish store.Wish
	if err := strictjson.Decode(raw, &wish); err != nil {
		b.refuse(w, http.StatusBadRequest, fmt.Errorf("the body must be a JSON object with kind, recipient, url and type: %w", err))
		return
	}
	came, err := b.raise(mail, wish)
	if err != nil {
		b.refuse(w, statusOf(err), err)
		return
	}
	b.reply(w, http.StatusOK, struct {
		Events []eventView `json:"events"`
		Note   string      `json:"note,omitempty"`
	}{viewEvents(came.Events), came.Note})
}

// controlBody reads the body of a control request; the error is for the caller.
func controlBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, fmt.Errorf("the body must be at most %d bytes", maxControl)
	}
	if err != nil {
		return nil, errors.New("the body ended early")
	}
	return raw, nil
}

func (b *Sandbox) raise(mail *store.Mail, wish store.Wish) (store.Outcome, error) {
	owner, ok := b.providers[mail.Provider]
	if !ok {
		return store.Outcome{}, fmt.Errorf("there is no provider %q", mail.Provider)
	}
	came, err := owner.Raise(mail, wish)
	if _, refused := errors.AsType[*store.Refusal](err); err != nil && !refused {
		b.log.Error("sandbox event cannot be raised", "err", err)
		err = errors.New("the event could not be raised; see the log")
	}
	return came, err
}

func statusOf(err error) int {
	if _, refused := errors.AsType[*store.Refusal](err); refused {
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}

func (b *Sandbox) getFaults(w http.ResponseWriter, _ *http.Request) {
	b.reply(w, http.StatusOK, append([]fault.Rule{}, b.faults.Rules()...))
}

func (b *Sandbox) putFaults(w http.ResponseWriter, r *http.Request) {
	raw, err := controlBody(w, r)
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	rules, err := fault.ParseRules(raw, slices.Sorted(maps.Keys(b.providers)))
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	b.faults.Set(rules)
	b.getFaults(w, r)
}

func (b *Sandbox) deleteFaults(w http.ResponseWriter, r *http.Request) {
	b.faults.Set(nil)
	b.getFaults(w, r)
}

// server returns the name of the server that a query names by name or token, "" when it names none.
func (b *Sandbox) server(r *http.Request) (string, error) {
	which := r.URL.Query().Get("server")
	if which == "" {
		return "", nil
	}
	for _, s := range b.servers() {
		if strings.EqualFold(s.Name, which) || s.Token != "" && strings.EqualFold(s.Token, which) {
			return s.Name, nil
		}
	}
	return "", fmt.Errorf("there is no server %q", which)
}

func (b *Sandbox) getSettings(w http.ResponseWriter, r *http.Request) {
	server, err := b.server(r)
	if err != nil {
		b.refuse(w, http.StatusNotFound, err)
		return
	}
	b.reply(w, http.StatusOK, b.settings.Of(server))
}

func (b *Sandbox) putSettings(w http.ResponseWriter, r *http.Request) {
	server, err := b.server(r)
	if err != nil {
		b.refuse(w, http.StatusNotFound, err)
		return
	}
	raw, err := controlBody(w, r)
	if err == nil {
		err = b.settings.Merge(server, raw)
	}
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	b.getSettings(w, r)
}

// serverView is a server in the control API.
type serverView struct {
	Provider  string   `json:"provider"`
	Name      string   `json:"name"`
	Token     string   `json:"token,omitempty"`
	Streams   []string `json:"streams,omitempty"`
	Templates []string `json:"templates,omitempty"`
	Webhooks  int      `json:"webhooks"`
	Addresses []string `json:"addresses,omitempty"` // of a mail server
	User      string   `json:"user,omitempty"`
	Password  string   `json:"password,omitempty"`
}

func viewServer(s store.Server) serverView {
	return serverView{Provider: s.Provider, Name: s.Name, Token: s.Token, Streams: s.Streams, Templates: s.Templates, Webhooks: s.Webhooks,
		Addresses: s.Addresses, User: s.User, Password: s.Password}
}

func (b *Sandbox) listServers(w http.ResponseWriter, _ *http.Request) {
	list := []serverView{}
	for _, s := range b.servers() {
		list = append(list, viewServer(s))
	}
	b.reply(w, http.StatusOK, list)
}

// addServer adds a server to Postmark's account.
func (b *Sandbox) addServer(w http.ResponseWriter, r *http.Request) {
	raw, err := controlBody(w, r)
	var wish struct {
		Name  string `json:"name"`
		Token string `json:"token"`
	}
	if err == nil {
		err = strictjson.Decode(raw, &wish)
	}
	if err != nil {
		b.refuse(w, http.StatusBadRequest, fmt.Errorf("the body must be a JSON object with name and token: %w", err))
		return
	}
	if other := b.providerOf(wish.Name); other != "" && other != postmark.Provider {
		b.refuse(w, http.StatusUnprocessableEntity, fmt.Errorf("%q is a server of %s", wish.Name, other))
		return
	}
	made, err := b.postmark.AddServer(wish.Name, wish.Token)
	if err != nil {
		b.refuseServer(w, err)
		return
	}
	b.reply(w, http.StatusOK, viewServer(made))
}

func (b *Sandbox) removeServer(w http.ResponseWriter, r *http.Request) {
	which := r.PathValue("server")
	for _, s := range b.postmark.Servers() {
		if strings.EqualFold(s.Token, which) {
			which = s.Name
		}
	}
	if err := b.postmark.RemoveServer(which); err != nil {
		b.refuseServer(w, err)
		return
	}
	b.settings.Forget(which)
	b.listServers(w, r)
}

// confirmSender does what the owner of a sender's address does with the link of a confirmation mail, which the sandbox does not send.
func (b *Sandbox) confirmSender(w http.ResponseWriter, r *http.Request) {
	if err := b.postmark.ConfirmSender(r.PathValue("email")); err != nil {
		b.refuseServer(w, err)
		return
	}
	b.reply(w, http.StatusOK, map[string]bool{"confirmed": true})
}

func (b *Sandbox) refuseServer(w http.ResponseWriter, err error) {
	status := statusOf(err)
	switch {
	case errors.Is(err, postmark.ErrNoServer):
		status = http.StatusNotFound
	case status == http.StatusInternalServerError:
		b.log.Error("sandbox servers cannot be changed", "err", err)
		err = errors.New("the servers could not be changed; see the log")
	}
	b.refuse(w, status, err)
}

// getSMTP tells how to reach the mail server, and which certificate to trust for it.
func (b *Sandbox) getSMTP(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Addresses []string `json:"addresses"`
		User      string   `json:"user"`
		Password  string   `json:"password"`
		Authority string   `json:"authority"`
	}{[]string{}, DemoSMTPUser, DemoSMTPPassword, b.SMTPAuthority()}
	for _, s := range b.smtp.Servers() {
		answer.Addresses = s.Addresses
	}
	b.reply(w, http.StatusOK, answer)
}

func (b *Sandbox) listAttempts(w http.ResponseWriter, _ *http.Request) {
	b.reply(w, http.StatusOK, map[string]any{"attempts": b.hooks.Attempts()})
}

func (b *Sandbox) postReset(w http.ResponseWriter, r *http.Request) {
	forget := false
	if text := r.URL.Query().Get("webhooks"); text != "" {
		var err error
		if forget, err = strconv.ParseBool(text); err != nil {
			b.refuse(w, http.StatusBadRequest, fmt.Errorf("webhooks must be true, to forget them as well, or false; got %q", text))
			return
		}
	}
	if err := b.reset(!forget); err != nil {
		b.log.ErrorContext(r.Context(), "sandbox reset failed", "err", err)
		b.refuse(w, http.StatusInternalServerError, errors.New("the reset failed; see the log"))
		return
	}
	b.health(w, r)
}

func (b *Sandbox) reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		b.log.Debug("sandbox answer was not taken", "err", err)
	}
}

func (b *Sandbox) refuse(w http.ResponseWriter, status int, err error) {
	b.reply(w, status, map[string]string{"error": err.Error()})
}
