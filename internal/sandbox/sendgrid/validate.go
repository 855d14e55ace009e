package sendgrid

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a request.
const (
	maxPersonalizations = 1000
	maxRecipients       = 1000 // of all personalizations
	maxAddress          = 320
	maxArgs             = 10_000 // bytes of the custom arguments of one mail, those of the request included
	maxSubstitutions    = 10_000
	maxCategories       = 10
	maxCategory         = 255
	maxDisplayed        = 25 // unsubscribe groups
	maxAhead            = 72 * time.Hour

	maxProblems = 100 // that an answer lists
)

const helpPage = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#"

// reserved are header names that a request may not set, in lower case.
var reserved = []string{"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
	"subject", "reply-to", "cc", "bcc"}

// examiner collects what is wrong with a request.
type examiner struct {
	now      time.Time
	problems []problem
}

// wrong notes something. help is the place on SendGrid's page about errors.
func (x *examiner) wrong(field, help, format string, args ...any) {
	if len(x.problems) < maxProblems {
		x.problems = append(x.problems, problem{Message: fmt.Sprintf(format, args...), Field: &field, Help: new(helpPage + help)})
	}
}

// examine reads a request and checks all that needs no account. The error is a *failure that lists everything that is wrong.
func examine(raw []byte, now time.Time) (*envelope, error) {
	e, err := open(raw)
	if err != nil {
		return nil, fail(http.StatusBadRequest, textBadRequest)
	}
	x := &examiner{now: now}
	x.people(e)
	x.sender(e)
	x.subject(e)
	x.content(e)
	x.attachments(&e.request)
	x.labels(&e.request)
	x.headers(e.Headers, "headers", "message.headers")
	x.switches(&e.request)
	if len(x.problems) > 0 {
		return nil, &failure{status: http.StatusBadRequest, body: errorBody{x.problems}}
	}
	return e, nil
}

// people checks the personalizations.
func (x *examiner) people(e *envelope) {
	list := e.personalizations.of
	switch {
	case e.personalizations.wrong || len(list) == 0:
		x.wrong(fieldPersonalizations, "-Personalizations-Errors",
			"The personalizations field is required and must have at least one personalization.")
		return
	case len(list) > maxPersonalizations:
		x.wrong(fieldPersonalizations, "-Personalizations-Errors", "The personalization block is limited to %d personalizations per API request. "+
			"You have provided %d personalizations. Please consider splitting this into multiple requests and resending your request.",
			maxPersonalizations, len(list))
		return
	}
	total := 0
	for i := range list {
		total += len(list[i].of.To.of) + len(list[i].of.Cc.of) + len(list[i].of.Bcc.of)
	}
	if total > maxRecipients {
		x.wrong(fieldPersonalizations, "message.recipient-errors", "There is a limit of %d total recipients (to + cc + bcc) per request.", maxRecipients)
		return
	}
	for i := range list {
		x.personalization(&e.request, &list[i], fieldPersonalizations+"."+strconv.Itoa(i))
	}
}

func (x *examiner) personalization(r *request, v *value[personalization], field string) {
	p := &v.of
	if v.wrong || p.To.wrong || len(p.To.of) == 0 {
		x.wrong(field+".to", "message.personalizations.to",
			"The to array is required for all personalization objects, and must have at least one email object with a valid email address.")
		return
	}
	seen := map[string]bool{}
	for _, one := range []struct {
		name, title string
		list        people
	}{{"to", "To", p.To}, {"cc", "CC", p.Cc}, {"bcc", "BCC", p.Bcc}} {
		x.recipients(one.list, field, one.name, one.title, seen)
	}
	if p.From.set {
		x.address(p.From, field+".from", "message.from", "From")
	}
	x.sendAt(p.SendAt, field+".send_at", "message.personalizations.send_at")
	x.headers(p.Headers, field+".headers", "message.personalizations.headers")
	x.args(r, p, field)
	x.strings(p.Substitutions, field+".substitutions", "message.personalizations.substitutions",
		"The substitution values must be an object of key/value pairs, where the values are all strings.")
	if len(p.Substitutions.of) > maxSubstitutions {
		x.wrong(field+".substitutions", "message.personalizations.substitutions", "You are limited to 10,000 substitutions.")
	}
	if p.Data.wrong {
		x.wrong(field+".dynamic_template_data", "message.personalizations.dynamic_template_data", textBadRequest)
	}
}

func (x *examiner) recipients(list people, field, name, title string, seen map[string]bool) {
	if list.wrong {
		x.wrong(field+"."+name, "message.personalizations."+name, "The %s array, when used, must at least have an email parameter with a valid "+
			"email address and it may also contain a name parameter. e.g. {\"email\": \"example@example.com\"} or "+
			"{\"email\": \"example@example.com\", \"name\": \"Example Recipient\"}", name)
		return
	}
	for i, one := range list.of {
		if !x.address(one, field+"."+name+"."+strconv.Itoa(i), "message.personalizations."+name, title) {
			continue
		}
		lower := strings.ToLower(one.of.Email.of)
		if seen[lower] {
			x.wrong(field, "message.recipient-errors", "Each email address in the personalization block should be unique between to, cc, and bcc. "+
				"We found the first duplicate instance of [%s] in the %s.%s field.", one.of.Email.of, field, name)
			return
		}
		seen[lower] = true
	}
}

// address checks one person; it is false when there is something wrong.
func (x *examiner) address(a value[address], field, help, title string) bool {
	email := a.of.Email
	switch {
	case a.wrong, email.wrong, !isAddress(email.of):
		x.wrong(field+".email", help, "Does not contain a valid address.")
		return false
	case len(email.of) > maxAddress:
		x.wrong(field+".email", help, "The %s email exceeds the maximum total length of %d characters", title, maxAddress)
		return false
	case a.of.Name.wrong:
		x.wrong(field+".name", help, "The name must be a string.")
		return false
	}
	return true
}

// isAddress tells whether a text can be an address.
func isAddress(text string) bool {
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return false
	}
	local, domain := text[:at], text[at+1:]
	odd := func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c) }
	return !strings.ContainsFunc(local, odd) && strings.Contains(domain, ".") && !strings.Contains(domain, "..") &&
		!strings.HasPrefix(domain, ".") && !strings.HasSuffix(domain, ".") && !strings.HasPrefix(domain, "-") && !strings.HasSuffix(domain, "-") &&
		!strings.ContainsFunc(domain, func(c rune) bool { return odd(c) || strings.ContainsRune("!#$%&'*+/=?^_`{|}~", c) })
}

func (x *examiner) args(r *request, p *personalization, field string) {
	const text = "All values of custom arguments object must be strings"
	help := "message.personalizations.custom_args"
	if !x.strings(p.CustomArgs, field+".custom_args", help, text) {
		return
	}
	if p.CustomArgs.set && len(p.CustomArgs.of) == 0 {
		x.wrong(field+".custom_args", help, "custom_args cannot be empty.")
	}
	if size, err := encode(r.args(p)); err != nil || len(size) > maxArgs {
		x.wrong(field+".custom_args", help, "The combined size of both global and personalization custom arguments may not exceed 10,000 bytes per personalization.")
	}
}

// strings checks that all values of an object are strings.
func (x *examiner) strings(object texts, field, help, text string) bool {
	if object.wrong {
		x.wrong(field, help, "%s", text)
		return false
	}
	for _, one := range object.of {
		if one.wrong || !one.set {
			x.wrong(field, help, "%s", text)
			return false
		}
	}
	return true
}

func (x *examiner) sendAt(at value[int64], field, help string) {
	switch {
	case at.wrong:
		x.wrong(field, help, "The send_at parameter is expecting a Unix timestamp as an integer. "+
			"We will send immediately if you include a send_at timestamp that is in the past.")
	case at.set && at.of > x.now.Add(maxAhead).Unix():
		x.wrong(field, help, "Scheduling more than 72 hours in advance is forbidden.")
	}
}

func (x *examiner) headers(headers value[pairs], field, help string) {
	if headers.wrong {
		x.wrong(field, help, "The header values must be strings.")
		return
	}
	seen := map[string]bool{}
	for _, h := range headers.of {
		lower := strings.ToLower(h.key)
		switch {
		case h.text.wrong || !h.text.set:
			x.wrong(field, help, "The header values must be strings.")
		case seen[lower]:
			x.wrong(field, help, "The headers cannot contain duplicate keys.")
		case h.key == "" || strings.ContainsFunc(h.key, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
			x.wrong(field, help, "Header keys cannot contain non-ASCII characters or empty spaces.")
		case slices.Contains(reserved, lower):
			x.wrong(field, help, "Header cannot be one of the reserved keys.")
		case strings.ContainsAny(h.key, ":") || strings.ContainsAny(h.text.of, "\r\n"): // what SendGrid says of these is not known
			x.wrong(field, help, textBadRequest)
		}
		seen[lower] = true
	}
}

func (x *examiner) sender(e *envelope) {
	switch from := e.From; {
	case !from.set || !from.wrong && !from.of.Email.set:
		x.wrong("from.email", "message.from", "The from object must be provided for every email send. It is an object that requires the email "+
			"parameter, but may also contain a name parameter.  e.g. {\"email\" : \"example@example.com\"}  or "+
			"{\"email\" : \"example@example.com\", \"name\" : \"Example Recipient\"}.")
	case from.wrong || from.of.Email.wrong || !isAddress(from.of.Email.of):
		x.wrong("from.email", "message.from", "The from email does not contain a valid address.")
	default:
		x.address(from, "from", "message.from", "From")
	}
	if e.ReplyTo.set {
		x.address(e.ReplyTo, "reply_to", "message.reply_to", "Reply-To")
	}
	for i, one := range e.ReplyToList.of {
		x.address(one, "reply_to_list."+strconv.Itoa(i), "message.reply_to_list", "Reply-To")
	}
	if e.ReplyToList.wrong || e.ReplyToList.set && e.ReplyTo.set { // the text is not known
		x.wrong("reply_to_list", "message.reply_to_list", textBadRequest)
	}
}

// subject insists on one for every mail.
func (x *examiner) subject(e *envelope) {
	empty := "The subject of your email must be a string at least one character in length."
	missing := false
	for i := range e.personalizations.of {
		own := e.personalizations.of[i].of.Subject
		if own.set && (own.wrong || own.of == "") {
			x.wrong(fieldPersonalizations+"."+strconv.Itoa(i)+".subject", "message.personalizations.subject", "%s", empty)
		}
		missing = missing || !own.set
	}
	switch {
	case e.Subject.set && (e.Subject.wrong || e.Subject.of == ""):
		x.wrong("subject", "message.subject", "%s", empty)
	case missing && !e.Subject.set && !e.TemplateID.set:
		x.wrong("subject", "message.subject", "The subject is required. You can get around this requirement if you use a template with a subject "+
			"defined or if every personalization has a subject defined.")
	}
}

func (x *examiner) content(e *envelope) {
	if e.TemplateID.set {
		if e.TemplateID.wrong {
			x.wrong("template_id", "message.template_id", "The template ID must be a string.")
		} else { // the account has none
			x.wrong("template_id", "message.template_id", "The Template ID must be a valid template id for your account. You provided %s.", e.TemplateID.of)
		}
		return
	}
	if e.Content.wrong || len(e.Content.of) == 0 {
		x.wrong("content", "message.content", "Unless a valid template_id is provided, the content parameter is required. There must be at least one "+
			"defined content block. We typically suggest both text/plain and text/html blocks are included, but only one block is required.")
		return
	}
	last := 0
	for i, p := range e.Content.of {
		field := "content." + strconv.Itoa(i)
		kind, text := p.of.Type, p.of.Value
		switch {
		case p.wrong || !kind.set:
			x.wrong(field+".type", "message.content.type", "A content type is required, this tells email clients how to display the email.")
		case kind.wrong || kind.of == "":
			x.wrong(field+".type", "message.content.type", "Your content type must be a string with length of at least one character.")
		case strings.ContainsAny(kind.of, ";,\r\n"):
			x.wrong(field+".type", "message.content.type", "Cannot contain ';', or CRLF characters.")
		}
		if text.wrong || text.of == "" {
			x.wrong(field+".value", "message.content.value", "The content value must be a string at least one character in length.")
		}
		rank := slices.Index([]string{"text/plain", "text/html"}, kind.of)
		if rank < 0 {
			rank = 2
		}
		if rank < last {
			x.wrong("content", "message.content", "Following RFC 1341, section 7.2, if either text/html or text/plain are to be sent in your email: "+
				"text/plain needs to be first, followed by text/html, followed by any other content.")
			return
		}
		last = rank
	}
}

func (x *examiner) attachments(r *request) {
	if r.Attachments.wrong {
		x.wrong("attachments", "message.attachments", textBadRequest)
		return
	}
	for i, one := range r.Attachments.of {
		x.attachment(one.of, "attachments."+strconv.Itoa(i))
	}
}

func (x *examiner) attachment(a attachment, field string) {
	const help = "message.attachments."
	if a.Content.wrong || a.Content.of == "" {
		x.wrong(field+".content", help+"content", "The attachment content must be a string at least one character in length.")
	} else if _, err := base64.StdEncoding.DecodeString(a.Content.of); err != nil {
		x.wrong(field+".content", help+"content", "The attachment content must be base64 encoded.")
	}
	switch name := a.Filename; {
	case name.wrong:
		x.wrong(field+".filename", help+"filename", "The filename of your attachment must be a string.")
	case name.of == "":
		x.wrong(field+".filename", help+"filename", "filename is required.")
	case strings.ContainsAny(name.of, ";,\r\n"):
		x.wrong(field+".filename", help+"filename", "The filename of your attachment cannot contain CRLF characters.")
	}
	switch kind := a.Type; {
	case kind.wrong || kind.set && kind.of == "":
		x.wrong(field+".type", help+"type", "The attachment type must be a string and at least one character in length.")
	case strings.ContainsAny(kind.of, ";,\r\n"):
		x.wrong(field+".type", help+"type", "The type cannot contain ';', or CRLF characters.")
	}
	if d := a.Disposition; d.wrong || d.set && d.of != "inline" && d.of != "attachment" {
		x.wrong(field+".disposition", help+"disposition", "The disposition of your attachment can be either \"inline\" or \"attachment\". You provided %s.", d.of)
	}
	switch id := a.ContentID; {
	case id.wrong:
		x.wrong(field+".content_id", help+"content_id", "The content ID of your attachment must be a string.")
	case strings.ContainsAny(id.of, ";,\r\n"):
		x.wrong(field+".content_id", help+"content_id", "The content ID of your attachment cannot contain CRLF characters.")
	}
}

// labels checks what the request is filed under.
func (x *examiner) labels(r *request) {
	x.categories(r.Categories)
	if !x.strings(r.CustomArgs, "custom_args", "message.custom_args", "All values of custom arguments object must be strings") {
		return
	}
	if r.CustomArgs.set && len(r.CustomArgs.of) == 0 {
		x.wrong("custom_args", "message.custom_args", "custom_args cannot be empty.")
	}
}

func (x *examiner) categories(list value[[]value[string]]) {
	wrong := func(format string, args ...any) { x.wrong("categories", "message.categories", format, args...) }
	if list.wrong {
		wrong("Categories must be an array of strings.")
		return
	}
	if len(list.of) > maxCategories {
		wrong("There is a limit of %d categories for each email that is sent. You provided %d categories.", maxCategories, len(list.of))
		return
	}
	seen := map[string]bool{}
	for _, one := range list.of {
		switch {
		case one.wrong || !one.set:
			wrong("Categories must be an array of strings.")
		case len(one.of) > maxCategory:
			wrong("Each category must not be longer than %d characters. %s exceeds this limit", maxCategory, one.of)
		case seen[one.of]:
			wrong("The categories must be a unique list, and you have included %s more than once.", one.of)
		case strings.ContainsFunc(one.of, func(c rune) bool { return c >= 0x80 }):
			wrong("Categories can not contain non-ASCII characters.")
		}
		seen[one.of] = true
	}
}

// switches checks settings and what is the account's.
func (x *examiner) switches(r *request) {
	x.sendAt(r.SendAt, "send_at", "message.send_at")
	x.strings(r.Sections, "sections", "message.sections", "The section values must be strings.")
	if r.BatchID.wrong {
		x.wrong("batch_id", "message.batch_id", "The batch_id must be a string.")
	}
	switch {
	case r.IPPool.wrong:
		x.wrong("ip_pool_name", "message.ip_pool_name", "The name of your IP pool must be a string.")
	case r.IPPool.set && !slices.Contains(pools, r.IPPool.of):
		x.wrong("ip_pool_name", "message.ip_pool_name", "The IP Pool name must be a valid pool name for your account. You provided %s.", r.IPPool.of)
	}
	x.asm(r.ASM)
	for _, one := range []struct {
		setting    value[toggle]
		name, text string
	}{
		{r.Mail.of.Bypass, "mail_settings.bypass_list_management", "bypass list management"},
		{r.Mail.of.Footer, "mail_settings.footer", "footer"},
		{r.Mail.of.Sandbox, "mail_settings.sandbox_mode", "sandbox mode"},
		{r.Tracking.of.Click, "tracking_settings.click_tracking", "click tracking"},
		{r.Tracking.of.Open, "tracking_settings.open_tracking", "open tracking"},
		{r.Tracking.of.Subscription, "tracking_settings.subscription_tracking", "subscription tracking"},
		{r.Tracking.of.Analytics, "tracking_settings.ganalytics", "Google Analytics"},
	} {
		if one.setting.wrong || one.setting.of.Enable.wrong {
			x.wrong(one.name+".enable", "message."+one.name+".enable", "The %s enable param should be a boolean value.", one.text)
		}
	}
	if r.Tracking.of.Click.of.EnableText.wrong {
		x.wrong("tracking_settings.click_tracking.enable_text", "message.tracking_settings.click_tracking.enable_text",
			"The click tracking enable text must be a boolean value.")
	}
	if r.Mail.wrong || r.Tracking.wrong { // the text is not known
		x.wrong("mail_settings", "message.mail_settings", textBadRequest)
	}
}

func (x *examiner) asm(a value[asm]) {
	if !a.set {
		return
	}
	group := a.of.Group
	switch {
	case a.wrong || group.wrong || !group.set:
		x.wrong("asm.group_id", "message.asm.group_id", "The ASM group ID must be an integer.")
	case !slices.Contains(groups, group.of):
		x.wrong("asm.group_id", "message.asm.group_id", "The ASM group ID must be a valid Group ID on your account. You provided %d.", group.of)
	}
	shown := a.of.Display
	if shown.wrong {
		x.wrong("asm.groups_to_display", "message.asm.groups_to_display", "The ASM Group IDs to display must be an array of integers.")
		return
	}
	if len(shown.of) > maxDisplayed {
		x.wrong("asm.groups_to_display", "message.asm.groups_to_display",
			"There is a limit of %d unsubscribe groups that can be displayed to a user at a time.", maxDisplayed)
	}
	for _, one := range shown.of {
		switch {
		case one.wrong || !one.set:
			x.wrong("asm.groups_to_display", "message.asm.groups_to_display", "The ASM Group IDs to display must be an array of integers.")
		case !slices.Contains(groups, one.of):
			x.wrong("asm.groups_to_display", "message.asm.groups_to_display",
				"All ASM groups to display must be valid ASM groups IDs on your account. You provided %d.", one.of)
		}
	}
}
