package postmark

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"postyard/internal/sandbox/settings"
)

const (
	maxRecipients    = 50
	maxFrom          = 255
	maxTag           = 1000
	maxPart          = 5 << 20
	maxMessage       = 10 << 20
	maxMetadata      = 10
	maxMetadataKey   = 20
	maxMetadataValue = 80
	maxItems         = 500
)

const textMetadata = "Invalid metadata content. Field names are limited to 20 characters, values are limited to 80 characters, " +
	"and there may be at most 10 fields, whose names differ in more than case."

var forbiddenExtensions = strings.Fields("vbs exe bin bat chm com cpl crt hlp hta inf ins isp jse lnk mdb pcd pif reg scr sct shs " +
	"vbe vba wsf wsh wsl msc msi msp mst")

// draft is a message on its way through validation.
type draft struct {
	message
	raw        json.RawMessage
	templated  bool
	from       address
	recipients []address // To, Cc and Bcc in this order, as in the request
	template   *template
	inactive   []string
}

// validate checks everything that needs no server, in the order in which the fields matter to a caller.
func (d *draft) validate() error {
	for _, check := range []func() error{d.checkShape, d.checkAddresses, d.checkContent, d.checkTexts, d.checkMetadata,
		d.checkHeaders, d.checkAttachments} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkShape keeps plain and templated messages apart (PM-sim 20).
func (d *draft) checkShape() error {
	if !d.templated {
		return nil
	}
	if d.Subject.named || d.HTMLBody.named || d.TextBody.named {
		return fail(codeTemplateExcludes,
			"The 'Subject', 'HtmlBody' and 'TextBody' fields cannot be used together with a template.")
	}
	model := bytes.TrimSpace(d.TemplateModel)
	switch {
	case d.TemplateID == nil && d.TemplateAlias == "":
		return fail(codeNoTemplate, "Either a 'TemplateId' or a 'TemplateAlias' is required.")
	case len(model) == 0 || string(model) == "null":
		return fail(codeTemplateRequired, "A 'TemplateModel' is required when using a template to send an email.")
	case model[0] == '{':
		return nil // the decoder has checked that it is whole
	}
	if parsed, err := parseModel(model); err != nil || parsed == nil {
		return fail(codeType, "Invalid request field(s): 'TemplateModel'.")
	}
	return nil
}

func (d *draft) checkAddresses() error {
	senders := splitList(d.From)
	if len(senders) > 0 {
		d.from = parseEntry(senders[0])
	}
	if utf8.RuneCountInString(d.From) > maxFrom || checkAddress("From", d.from.Email) != nil {
		return fail(codeField, "Invalid 'From' address: '%s'.", d.From)
	}
	for _, list := range []struct{ field, text string }{{"To", d.to()}, {"Cc", d.Cc}, {"Bcc", d.Bcc}} {
		addresses, err := parseList(list.field, list.text)
		if err != nil {
			return err
		}
		d.recipients = append(d.recipients, addresses...)
	}
	if _, err := parseList("Reply-To", d.ReplyTo); err != nil {
		return err
	}
	switch {
	case len(d.recipients) == 0:
		return fail(codeField, "Zero recipients specified")
	case len(d.recipients) > maxRecipients:
		return fail(codeField, "You may only send to up to %d recipients ('To', 'Cc' and 'Bcc' together) in one message; got %d.",
			maxRecipients, len(d.recipients))
	}
	return nil
}

// readAddresses is checkAddresses for a message that was accepted, perhaps under older rules.
func (d *draft) readAddresses() {
	if senders := splitList(d.From); len(senders) > 0 {
		d.from = parseEntry(senders[0])
	}
	for _, list := range []string{d.to(), d.Cc, d.Bcc} {
		for _, entry := range splitList(list) {
			d.recipients = append(d.recipients, parseEntry(entry))
		}
	}
}

func (d *draft) checkContent() error {
	switch {
	case d.templated:
		return nil
	case d.HTMLBody.text == "" && d.TextBody.text == "":
		return fail(codeField, "Provide either email TextBody or HtmlBody or both.")
	case len(d.HTMLBody.text) > maxPart:
		return fail(codeField, "The 'HtmlBody' may be at most %d bytes long.", maxPart)
	case len(d.TextBody.text) > maxPart:
		return fail(codeField, "The 'TextBody' may be at most %d bytes long.", maxPart)
	case utf8.RuneCountInString(d.Subject.text) > maxSubject:
		return fail(codeField, "The 'Subject' may be at most %d characters long.", maxSubject)
	}
	return nil
}

func (d *draft) checkTexts() error {
	if utf8.RuneCountInString(d.Tag) > maxTag {
		return fail(codeField, "The 'Tag' may be at most %d characters long.", maxTag)
	}
	if d.TrackLinks == "" {
		return nil
	}
	for _, known := range []string{linksNone, linksBoth, linksHTML, linksText} {
		if strings.EqualFold(d.TrackLinks, known) {
			d.TrackLinks = known
			return nil
		}
	}
	return fail(codeField, "The 'TrackLinks' value '%s' must be one of None, HtmlAndText, HtmlOnly, TextOnly.", d.TrackLinks)
}

func (d *draft) checkMetadata() error {
	if len(d.Metadata) > maxMetadata {
		return fail(codeField, "%s", textMetadata)
	}
	seen := make([]string, 0, maxMetadata)
	for key, value := range d.Metadata {
		lower := strings.ToLower(key)
		if key == "" || slices.Contains(seen, lower) || utf8.RuneCountInString(key) > maxMetadataKey ||
			utf8.RuneCountInString(value) > maxMetadataValue {
			return fail(codeField, "%s", textMetadata)
		}
		seen = append(seen, lower)
	}
	return nil
}

func (d *draft) checkHeaders() error {
	for _, h := range d.Headers {
		if !httpguts.ValidHeaderFieldName(h.Name) || strings.ContainsAny(h.Value, "\r\n") {
			return fail(codeField, "Invalid 'Headers' entry: '%s'.", h.Name)
		}
	}
	return nil
}

func (d *draft) checkAttachments() error {
	if len(d.raw) > maxMessage {
		return fail(codeField, "The message, with its attachments, may be at most %d bytes long.", maxMessage)
	}
	for _, a := range d.Attachments {
		extension := strings.ToLower(strings.TrimPrefix(path.Ext(a.Name), "."))
		switch {
		case a.Name == "" || a.ContentType == "":
			return fail(codeField, "Each of the 'Attachments' needs a 'Name', a 'Content' and a 'ContentType'.")
		case slices.Contains(forbiddenExtensions, extension):
			return fail(codeAttachment, "Attachments with the extension '%s' are not allowed: '%s'.", extension, a.Name)
		}
	}
	return nil
}

// place checks the message against its server: sender, account, stream, template, inactive recipients. The caller holds mu.
func (v *server) place(d *draft, of *account, state string) error {
	if !of.mayUse(d.from) {
		return fail(codeSender, textSender, d.from.Email)
	}
	if err := d.checkAccount(state); err != nil {
		return err
	}
	if d.MessageStream == "" {
		d.MessageStream = defaultStream
	}
	m := v.stream(d.MessageStream)
	switch {
	case m == nil || m.archived():
		return fail(codeSendNoStream, "The stream provided: '%s' does not exist on this server.", d.MessageStream)
	case m.Type == typeInbound:
		return fail(codeSendInbound, "The stream provided: '%s' is an inbound stream and cannot be used for sending.", m.ID)
	}
	if d.templated {
		if err := v.pickTemplate(d); err != nil {
			return err
		}
	}
	return v.checkInactive(d)
}

func (d *draft) checkAccount(state string) error {
	switch state {
	case settings.AccountNotApproved:
		return fail(codeNotApproved, "%s", textNotApproved)
	case settings.AccountPending:
		for _, r := range d.recipients {
			if r.domain() != d.from.domain() {
				return fail(codePending, "While your account is pending approval, all recipient addresses must share the same "+
					"domain as the 'From' address. The domain of the 'From' address is '%s'.", d.from.domain())
			}
		}
	}
	return nil
}

// pickTemplate finds the template; the id wins over the alias (PM-sim 20).
func (v *server) pickTemplate(d *draft) error {
	if d.TemplateID != nil {
		d.template = v.templateByID(*d.TemplateID)
	} else {
		d.template = v.templateByAlias(d.TemplateAlias)
	}
	if d.template != nil && d.template.Active && d.template.TemplateType == typeStandard {
		return nil
	}
	if d.TemplateID != nil {
		return noTemplate()
	}
	return fail(codeNoTemplate, "The Template's 'Alias' associated with this request is not valid or was not found.")
}

const inactiveReason = "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."

// checkInactive sets aside recipients that are suppressed on the stream; a message with no others is refused (PM-sim 22, 23).
func (v *server) checkInactive(d *draft) error {
	if len(v.suppressions) == 0 {
		return nil
	}
	for _, r := range d.recipients {
		if v.suppressed(d.MessageStream, r.Email) {
			d.inactive = append(d.inactive, r.Email)
		}
	}
	if len(d.inactive) < len(d.recipients) {
		return nil
	}
	return fail(codeInactive, "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: %s. %s",
		strings.Join(d.inactive, ", "), inactiveReason)
}
