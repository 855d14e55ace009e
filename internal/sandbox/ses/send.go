package ses

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	netmail "net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/settings"
	"postyard/internal/sandbox/store"
)

// Limits of a message.
const (
	maxRecipients = 50
	maxTags       = 50
)

type sendRequest struct {
	FromEmailAddress     string
	Destination          *recipients
	ReplyToAddresses     []string
	Content              *contentRequest
	EmailTags            []tag
	ConfigurationSetName string
}

// recipients are addresses as a request has them.
type recipients struct {
	ToAddresses  []string `json:",omitempty"`
	CcAddresses  []string `json:",omitempty"`
	BccAddresses []string `json:",omitempty"`
}

func (r *recipients) all() []string {
	return append(append(append([]string{}, r.ToAddresses...), r.CcAddresses...), r.BccAddresses...)
}

type contentRequest struct {
	Raw      *rawRequest
	Simple   *simple
	Template *templateRequest
}

type rawRequest struct{ Data string }

type templateRequest struct{ TemplateName string }

// simple is a message of which SES makes the mail.
type simple struct {
	Subject *text
	Body    *struct {
		Text *text `json:",omitempty"`
		HTML *text `json:"Html,omitempty"`
	}
	Headers     []headerField `json:",omitempty"`
	Attachments []attachment  `json:",omitempty"`
}

type text struct {
	Data    string
	Charset string `json:",omitempty"`
}

type headerField struct{ Name, Value string }

type attachment struct {
	FileName    string
	ContentType string `json:",omitempty"`
	RawContent  []byte
}

type tag struct{ Name, Value string }

// draft is a message on its way in.
type draft struct {
	letter
	senders []string // every address that it says it is from
}

type sendAnswer struct {
	MessageID string `json:"MessageId"`
}

// send accepts a message.
func (s *Simulator) send(c *call) (any, error) {
	var r sendRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	d, err := r.examine()
	if err != nil {
		return nil, err
	}
	limits := s.settings.Of(serverName)
	if err := s.linger(c.Context(), limits.SendLatency()); err != nil {
		return nil, err
	}
	mail, err := s.accept(d, limits)
	if err != nil {
		return nil, err
	}
	if err := s.schedule(c.Context(), mail); err != nil {
		return nil, err
	}
	return sendAnswer{mail.ID}, nil
}

// linger waits for as long as a send takes. When the client goes meanwhile, nothing is done.
func (s *Simulator) linger(ctx context.Context, latency time.Duration) error {
	if err := clock.Linger(ctx, s.clock, latency); err != nil { // not by the timetable, which a reset clears
		return fail("RequestTimeoutException", "The client has gone.") // nobody reads it
	}
	return nil
}

// examine checks what a request says of itself.
func (r *sendRequest) examine() (*draft, error) {
	d := &draft{letter: letter{From: r.FromEmailAddress, Tags: r.EmailTags, Set: r.ConfigurationSetName}}
	if err := checkTags(r.EmailTags); err != nil {
		return nil, err
	}
	if r.FromEmailAddress != "" {
		from, err := parseAddress(r.FromEmailAddress)
		if err != nil {
			return nil, err
		}
		d.senders = append(d.senders, from.email)
	}
	if err := r.readContent(d); err != nil {
		return nil, err
	}
	if len(d.senders) == 0 {
		return nil, bad("FromEmailAddress is required.")
	}
	if r.Destination != nil {
		d.To = *r.Destination
	}
	all := d.To.all()
	switch n := len(all); {
	case n == 0:
		return nil, bad("At least one destination is required.")
	case n > maxRecipients:
		return nil, bad("Recipient count exceeds %d.", maxRecipients)
	}
	for _, one := range append(all, r.ReplyToAddresses...) {
		if _, err := parseAddress(one); err != nil {
			return nil, err
		}
	}
	d.ReplyTo = r.ReplyToAddresses
	return d, nil
}

// readContent takes in what is to be sent, which must be of one kind.
func (r *sendRequest) readContent(d *draft) error {
	c := r.Content
	switch {
	case c == nil:
		return bad("Content is required.")
	case c.Template != nil && c.Raw == nil && c.Simple == nil:
		return notFound(typeNotFound, "Template %s does not exist.", c.Template.TemplateName) // the account has none
	case c.Template != nil, (c.Raw == nil) == (c.Simple == nil):
		return bad("Content must have exactly one of Simple, Raw and Template.")
	case c.Raw != nil:
		return d.readRaw(c.Raw)
	}
	return d.readSimple(c.Simple)
}

// readRaw takes in a mail. Whom it goes to is what its header says, unless the request does.
func (d *draft) readRaw(r *rawRequest) error {
	if len(r.Data) > maxMessage {
		return tooLarge()
	}
	raw, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil || len(raw) == 0 {
		return bad("Content.Raw.Data must be a message in base64.")
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return bad("The message has no header that can be read.")
	}
	d.Raw = raw
	if text := parsed.Header.Get("From"); text != "" {
		list, err := parsed.Header.AddressList("From")
		if err != nil {
			return bad("Illegal address <%s>.", text)
		}
		for _, from := range list {
			d.senders = append(d.senders, from.Address)
		}
		if d.From == "" {
			d.From = list[0].Address
		}
	}
	for field, into := range map[string]*[]string{"To": &d.To.ToAddresses, "Cc": &d.To.CcAddresses, "Bcc": &d.To.BccAddresses} {
		list, err := parsed.Header.AddressList(field)
		if err != nil {
			continue // there is none, or it is not one
		}
		for _, one := range list {
			*into = append(*into, one.Address)
		}
	}
	return nil
}

func tooLarge() error {
	return &failure{status: 413, kind: typeTooLarge, message: fmt.Sprintf("Message length is more than %d bytes long.", maxMessage)}
}

func (d *draft) readSimple(r *simple) error {
	switch {
	case r.Subject == nil:
		return bad("Content.Simple.Subject is required.")
	case r.Body == nil || r.Body.Text == nil && r.Body.HTML == nil:
		return bad("Content.Simple.Body must have Text or Html.")
	}
	size := len(r.Subject.Data)
	for _, part := range []*text{r.Body.Text, r.Body.HTML} {
		if part != nil {
			size += len(part.Data)
		}
	}
	for _, a := range r.Attachments {
		if a.FileName == "" {
			return bad("An attachment must have a FileName.")
		}
		size += base64.StdEncoding.EncodedLen(len(a.RawContent))
	}
	if size > maxMessage {
		return tooLarge()
	}
	for _, h := range r.Headers {
		if !headerName.MatchString(h.Name) || strings.ContainsAny(h.Value, "\r\n") {
			return bad("Invalid header <%s>.", h.Name)
		}
		if made[textproto.CanonicalMIMEHeaderKey(h.Name)] {
			return bad("The header <%s> cannot be set in Headers.", h.Name)
		}
	}
	d.Simple = r
	return nil
}

var headerName = regexp.MustCompile(`^[!-9;-~]{1,126}$`)

// made are header fields that SES makes itself.
var made = map[string]bool{"From": true, "To": true, "Cc": true, "Bcc": true, "Subject": true, "Reply-To": true, "Date": true, "Message-Id": true,
	"Mime-Version": true, "Content-Type": true, "Return-Path": true, "Sender": true}

// plainTag is the alphabet of names and values of tags.
var plainTag = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

const maxTag = 256

func checkTags(tags []tag) error {
	if len(tags) > maxTags {
		return bad("A message can have at most %d tags.", maxTags)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case len(t.Name) > maxTag:
			return bad("Tag name cannot exceed %d characters.", maxTag)
		case !plainTag.MatchString(t.Name):
			return bad("Invalid tag name <%s>: only alphanumeric ASCII characters, '_', and '-' are allowed.", t.Name)
		case len(t.Value) > maxTag:
			return bad("Tag value cannot exceed %d characters.", maxTag)
		case !plainTag.MatchString(t.Value):
			return bad("Invalid tag value <%s>: only alphanumeric ASCII characters, '_', and '-' are allowed.", t.Value)
		case seen[t.Name]:
			return bad("Duplicate tag name <%s>.", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}

// accept stores a message that the account may send.
func (s *Simulator) accept(d *draft, limits settings.Settings) (*store.Mail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allow(d, limits); err != nil {
		return nil, err
	}
	now := s.clock.Now()
	if err := s.charge(now, len(d.To.all()), limits); err != nil {
		return nil, err
	}
	id := s.newMessageID(now)
	var raw json.RawMessage
	if s.store.OnDisk() {
		var err error
		if raw, err = json.Marshal(d.letter); err != nil {
			return nil, fmt.Errorf("ses: send: %w", err)
		}
	}
	c, m := contentFor(&d.letter)
	stream := d.Set
	if stream == "" {
		stream = "no set"
	}
	mails, err := s.store.Add([]store.New{{ID: id, Provider: Provider, Server: serverName, Stream: stream, Content: c, Keys: m.keys(), Raw: raw}})
	if err != nil {
		return nil, fmt.Errorf("ses: send: %w", err)
	}
	return mails[0], nil
}

// allow tells whether the account may send a message. The caller holds mu.
func (s *Simulator) allow(d *draft, limits settings.Settings) error {
	if d.Set != "" {
		set, err := s.set(d.Set)
		if err != nil {
			return err
		}
		if set.Paused {
			return fail(typePaused, "Email sending is disabled for configuration set <%s>.", d.Set)
		}
	}
	switch {
	case limits.Account == settings.AccountNotApproved:
		return fail(typeSuspended, "%s", textSuspended)
	case s.paused:
		return fail(typePaused, "%s", textPaused)
	}
	checked := d.senders
	if limits.Account == settings.AccountPending { // which may write to verified recipients only
		for _, to := range d.To.all() {
			a, err := parseAddress(to)
			if err != nil {
				return err
			}
			if !simulated(a.email) {
				checked = append(checked, a.email)
			}
		}
	}
	var failed []string
	for _, one := range checked {
		if !s.verified(one) {
			failed = append(failed, one)
		}
	}
	if len(failed) > 0 {
		return fail(typeRejected, "Email address is not verified. The following identities failed the check in region %s: %s",
			strings.ToUpper(Region), strings.Join(failed, ", "))
	}
	return nil
}
