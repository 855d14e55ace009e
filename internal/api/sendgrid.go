package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
)

// sendGridRequest is the body of SendGrid's v3 mail/send. What Postyard cannot do has a field here to be refused by.
type sendGridRequest struct {
	Personalizations []personalization  `json:"personalizations"`
	From             *mail.Address      `json:"from"`
	ReplyTo          *mail.Address      `json:"reply_to"`
	ReplyToList      []mail.Address     `json:"reply_to_list"`
	Subject          string             `json:"subject"`
	Content          []sendGridContent  `json:"content"`
	Attachments      []sendGridFile     `json:"attachments"`
	TemplateID       string             `json:"template_id"`
	Headers          map[string]string  `json:"headers"`
	CustomArgs       map[string]string  `json:"custom_args"`
	Categories       stringList         `json:"categories"`
	IPPoolName       string             `json:"ip_pool_name"`
	MailSettings     *mailSettings      `json:"mail_settings"`
	TrackingSettings *trackingSettings  `json:"tracking_settings"`
	SendAt           json.RawMessage    `json:"send_at"`
	BatchID          json.RawMessage    `json:"batch_id"`
	ASM              json.RawMessage    `json:"asm"`
	Sections         map[string]*string `json:"sections"`
}

// personalization is one email of a sendGridRequest.
type personalization struct {
	From                *mail.Address     `json:"from"`
	To                  []mail.Address    `json:"to"`
	CC                  []mail.Address    `json:"cc"`
	BCC                 []mail.Address    `json:"bcc"`
	Subject             string            `json:"subject"`
	Headers             map[string]string `json:"headers"`
	Substitutions       map[string]string `json:"substitutions"`
	DynamicTemplateData json.RawMessage   `json:"dynamic_template_data"`
	CustomArgs          map[string]string `json:"custom_args"`
	SendAt              json.RawMessage   `json:"send_at"`
}

type sendGridContent struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type sendGridFile struct {
	Content     string `json:"content"`
	Type        string `json:"type"` // follows from the name where the mail is put together
	Filename    string `json:"filename"`
	Disposition string `json:"disposition"`
	ContentID   string `json:"content_id"`
}

// sendGridSetting is something that is on or off.
type sendGridSetting struct {
	Enable *bool `json:"enable"`
}

func (s *sendGridSetting) on() bool { return s != nil && s.Enable != nil && *s.Enable }

type mailSettings struct {
	SandboxMode                 *sendGridSetting `json:"sandbox_mode"`
	BypassListManagement        *sendGridSetting `json:"bypass_list_management"`
	BypassSpamManagement        *sendGridSetting `json:"bypass_spam_management"`
	BypassBounceManagement      *sendGridSetting `json:"bypass_bounce_management"`
	BypassUnsubscribeManagement *sendGridSetting `json:"bypass_unsubscribe_management"`
	Footer                      *sendGridSetting `json:"footer"`
	SpamCheck                   *sendGridSetting `json:"spam_check"`
	BCC                         *sendGridSetting `json:"bcc"`
}

type trackingSettings struct {
	ClickTracking        *sendGridSetting `json:"click_tracking"`
	OpenTracking         *openTracking    `json:"open_tracking"`
	SubscriptionTracking *sendGridSetting `json:"subscription_tracking"`
	GAnalytics           *sendGridSetting `json:"ganalytics"`
}

type openTracking struct {
	sendGridSetting
	SubstitutionTag string `json:"substitution_tag"`
}

// stringList is a list of strings that may come as one string.
type stringList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *stringList) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*l = make(stringList, 1)
		return json.Unmarshal(text, &(*l)[0])
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// maxContentBytes bounds the contents of one request, of which there is one for each kind of personalization, and the work that substitutions in them are.
const maxContentBytes = 32 << 20

func (s *server) sendGridSend(w http.ResponseWriter, r *http.Request, a *directory.SubAccount) error {
	return s.takeIn(w, r, a, readSendGrid, answerSendGrid)
}

// answerSendGrid tells the id of the first message; there is none when the mail was only checked.
func answerSendGrid(_ *http.Request, results []accept.Result) (written, error) {
	if len(results) == 0 {
		return written{Status: http.StatusOK}, nil
	}
	return written{Status: http.StatusAccepted, MessageID: results[0].ID.String()}, nil
}

// failAsSendGrid answers with an error as SendGrid does.
func failAsSendGrid(w http.ResponseWriter, _ *http.Request, p problem) {
	type fault struct {
		Message string  `json:"message"`
		Field   *string `json:"field"`
		Help    *string `json:"help"`
	}
	one := fault{Message: p.Message}
	if p.Field != "" {
		one.Field = &p.Field
	}
	status := p.status
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	_ = reply(w, status, map[string][]fault{"errors": {one}}) // strings can be encoded
}

func readSendGrid(r *http.Request, body []byte) (mails, error) {
	var in sendGridRequest
	if err := decode(body, &in); err != nil {
		if bad, ok := err.(*mail.FieldError); ok { //nolint:errorlint // decode wraps nothing
			bad.Field = dotted(bad.Field)
		}
		return mails{}, err
	}
	if bad := in.check(); bad != nil {
		return mails{}, bad
	}
	base, bad := in.content()
	if bad != nil {
		return mails{}, bad
	}
	if base.Pool == "" {
		base.Pool = r.Header.Get(poolHeader)
	}
	return in.split(base)
}

// cannot refuses what Postyard does not do.
func cannot(field, why string) *mail.FieldError {
	return mail.Invalid("unsupported", field, "%s is not supported: %s", field, why)
}

// check refuses what is missing, and what would make another mail than was asked for.
func (in *sendGridRequest) check() *mail.FieldError {
	switch n := len(in.Personalizations); {
	case n == 0:
		return mail.Invalid("missing_personalizations", "personalizations", "The personalizations field is required and must have at least one personalization.")
	case n > mail.MaxRecipients:
		return mail.Invalid("too_many_personalizations", "personalizations", "there are at most %d personalizations, this request has %d", mail.MaxRecipients, n)
	case in.From == nil:
		return mail.Invalid("missing_from", "from.email", "The from object must be provided for every email send.")
	case len(in.ReplyToList) > 1 || len(in.ReplyToList) == 1 && in.ReplyTo != nil:
		return cannot("reply_to_list", "an email has one address for replies")
	case isGiven(in.SendAt):
		return cannot("send_at", "mail leaves at once")
	case isGiven(in.BatchID):
		return cannot("batch_id", "mail leaves at once")
	case isGiven(in.ASM):
		return cannot("asm", "there are no unsubscribe groups")
	case len(in.Sections) > 0:
		return cannot("sections", "put the text into the content")
	}
	recipients := 0
	for i := range in.Personalizations {
		p, at := &in.Personalizations[i], "personalizations."+strconv.Itoa(i)
		recipients += len(p.To)
		switch {
		case len(p.To) == 0:
			return mail.Invalid("missing_recipients", at+".to", "The to array is required for all personalization objects, and must have at least one email object with a valid email address.")
		case isGiven(p.SendAt):
			return cannot(at+".send_at", "mail leaves at once")
		case in.Subject == "" && p.Subject == "" && in.TemplateID == "":
			return mail.Invalid("missing_subject", "subject", "The subject is required. You can get around this requirement if every personalization has one.")
		}
		if data := bytes.TrimSpace(p.DynamicTemplateData); isGiven(data) && data[0] != '{' {
			return mail.Invalid("wrong_type", at+".dynamic_template_data", "%s.dynamic_template_data must be an object", at)
		}
	}
	if recipients > mail.MaxRecipients {
		return mail.Invalid("too_many_recipients", "personalizations", "a request has at most %d recipients, this one has %d", mail.MaxRecipients, recipients)
	}
	return in.checkSettings()
}

// isGiven tells whether a value was there, and not null.
func isGiven(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func (in *sendGridRequest) checkSettings() *mail.FieldError {
	if m := in.MailSettings; m != nil {
		for _, s := range []struct {
			field string
			value *sendGridSetting
			why   string
		}{
			{"bypass_list_management", m.BypassListManagement, "suppressed addresses get no mail"},
			{"bypass_spam_management", m.BypassSpamManagement, "suppressed addresses get no mail"},
			{"bypass_bounce_management", m.BypassBounceManagement, "suppressed addresses get no mail"},
			{"bypass_unsubscribe_management", m.BypassUnsubscribeManagement, "suppressed addresses get no mail"},
			{"footer", m.Footer, "put the text into the content"},
			{"spam_check", m.SpamCheck, "mail is not looked through"},
			{"bcc", m.BCC, "name the address in a personalization"},
		} {
			if s.value.on() {
				return cannot("mail_settings."+s.field, s.why)
			}
		}
	}
	t := in.TrackingSettings
	switch {
	case t == nil:
	case t.SubscriptionTracking.on():
		return cannot("tracking_settings.subscription_tracking", "put a link into the content")
	case t.GAnalytics.on():
		return cannot("tracking_settings.ganalytics", "links are not changed")
	case t.OpenTracking != nil && t.OpenTracking.on() && t.OpenTracking.SubstitutionTag != "":
		return cannot("tracking_settings.open_tracking.substitution_tag", "the image stands at the end")
	}
	return nil
}

// content is what all personalizations share.
func (in *sendGridRequest) content() (c mail.Content, bad *mail.FieldError) {
	c = mail.Content{From: *in.From, ReplyTo: in.ReplyTo, Subject: in.Subject, Pool: in.IPPoolName, Template: in.TemplateID, Groups: in.Categories}
	c.Literal = !slices.ContainsFunc(in.Personalizations, personalization.filled) // braces mean something only to those who send values for them
	if len(in.ReplyToList) == 1 {
		c.ReplyTo = &in.ReplyToList[0]
	}
	if bad := in.bodies(&c); bad != nil {
		return c, bad
	}
	if !c.HasBody() && c.Template == "" {
		return c, mail.Invalid("missing_content", "content", "Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block.")
	}
	for i, f := range in.Attachments {
		if f.ContentID != "" || strings.EqualFold(f.Disposition, "inline") {
			return c, cannot(fmt.Sprintf("attachments.%d.disposition", i), "a file cannot be shown inside the text")
		}
		c.Attachments = append(c.Attachments, mail.Attachment{Filename: f.Filename, Content: f.Content})
	}
	if c.Headers, bad = mailHeaders("headers.", in.Headers, in.CustomArgs); bad != nil {
		return c, bad
	}
	if t := in.TrackingSettings; t != nil {
		if t.OpenTracking != nil {
			c.TrackOpens = t.OpenTracking.Enable
		}
		if t.ClickTracking != nil {
			c.TrackClicks = t.ClickTracking.Enable
		}
	}
	return c, nil
}

func (in *sendGridRequest) bodies(c *mail.Content) *mail.FieldError {
	for i, part := range in.Content {
		field := fmt.Sprintf("content.%d", i)
		kind, _, _ := strings.Cut(part.Type, ";")
		into := map[string]*string{"text/plain": &c.Text, "text/html": &c.HTML, "text/x-amp-html": &c.AMP}[strings.ToLower(strings.TrimSpace(kind))]
		switch {
		case into == nil:
			return cannot(field+".type", "the types are text/plain, text/html and text/x-amp-html")
		case part.Value == "":
			return mail.Invalid("empty_content", field+".value", "The content value must be a string at least one character in length.")
		case *into != "":
			return mail.Invalid("duplicate_content", field+".type", "the type is there twice")
		}
		*into = part.Value
	}
	return nil
}

// mailHeaders joins header fields, of which the later ones win. field is what the name of a refused one stands after.
func mailHeaders(field string, all ...map[string]string) (map[string]string, *mail.FieldError) {
	joined := map[string]string{}
	for _, some := range all {
		for name, value := range some {
			if mail.Structural(name) {
				return nil, mail.Invalid("reserved_header", field+name, "the header %s is made from other parts of the request", name)
			}
			joined[name] = value
		}
	}
	if len(joined) == 0 {
		return nil, nil
	}
	return joined, nil
}

// sendGridOrigin says where a recipient stands in the body.
type sendGridOrigin struct{ personalization, to int }

// split makes a request of each kind of content that there is.
func (in *sendGridRequest) split(base mail.Content) (mails, error) {
	out := mails{dry: in.MailSettings != nil && in.MailSettings.SandboxMode.on()}
	known := map[string]int{} // requests by their content
	var origins [][]sendGridOrigin
	size, work := 0, 0
	texts := len(base.Subject) + len(base.HTML) + len(base.Text) + len(base.AMP)
	for i := range in.Personalizations {
		p := &in.Personalizations[i]
		if len(p.tags()) > 0 {
			if work += texts; work > maxContentBytes {
				return out, mail.Invalid("too_large", "personalizations", "substitutions go through the content once for each personalization, through at most %d bytes in all; a tag such as {{name}} in the content costs nothing", maxContentBytes)
			}
		}
		content, key, bad := p.content(base, in, i)
		if bad != nil {
			return out, bad
		}
		n, there := known[key]
		if !there {
			if size += content.size(); size > maxContentBytes {
				return out, mail.Invalid("too_large", "personalizations", "personalizations that differ in more than their recipients are emails of their own; those of this request have more than %d bytes together", maxContentBytes)
			}
			n = len(out.requests)
			known[key] = n
			out.requests = append(out.requests, &accept.Request{Content: content.Content, Strict: true})
			origins = append(origins, nil)
		}
		fields, err := p.customFields()
		if err != nil {
			return out, err
		}
		for j, to := range p.To {
			recipient := mail.Recipient{Address: to, CustomFields: fields}
			if j == 0 { // every copy is sent once
				recipient.CC, recipient.BCC = p.CC, p.BCC
			}
			out.requests[n].Recipients = append(out.requests[n].Recipients, recipient)
			origins[n] = append(origins[n], sendGridOrigin{i, j})
		}
	}
	out.blame = func(part int, field string) string { return blameSendGrid(origins[part], field) }
	return out, nil
}

// personalized is the content of a personalization.
type personalized struct{ mail.Content }

func (c *personalized) size() int {
	n := len(c.Subject) + len(c.HTML) + len(c.Text) + len(c.AMP)
	for i := range c.Attachments {
		n += len(c.Attachments[i].Content)
	}
	return n
}

// content returns what the personalization makes of the content that all share. Those with equal keys are equal.
func (p *personalization) content(base mail.Content, in *sendGridRequest, i int) (c personalized, key string, bad *mail.FieldError) {
	c = personalized{base}
	var differs struct {
		From    *mail.Address
		Subject string
		Headers map[string]string
		Bodies  []string
	}
	if p.From != nil {
		c.From, differs.From = *p.From, p.From
	}
	if p.Subject != "" {
		c.Subject = p.Subject
	}
	if len(p.Headers)+len(p.CustomArgs) > 0 {
		if c.Headers, bad = mailHeaders(fmt.Sprintf("personalizations.%d.headers.", i), in.Headers, in.CustomArgs, p.Headers, p.CustomArgs); bad != nil {
			return c, "", bad
		}
		differs.Headers = c.Headers
	}
	if tags := p.tags(); len(tags) > 0 {
		replace := strings.NewReplacer(tags...).Replace
		c.Subject, c.HTML, c.Text, c.AMP = replace(c.Subject), replace(c.HTML), replace(c.Text), replace(c.AMP)
		if c.HTML != base.HTML || c.Text != base.Text || c.AMP != base.AMP {
			differs.Bodies = []string{c.HTML, c.Text, c.AMP}
		}
	}
	differs.Subject = c.Subject
	encoded, err := json.Marshal(differs)
	if err != nil {
		return c, "", mail.Invalid("malformed_json", fmt.Sprintf("personalizations.%d", i), "it cannot be encoded")
	}
	return c, string(encoded), nil
}

// tags are the substitutions that stand in the text as they are, such as -name- or %name%: tag and text in turn. One whose name could be that
// of a custom field is one, and nothing else.
func (p *personalization) tags() (list []string) {
	for _, tag := range slices.SortedFunc(maps.Keys(p.Substitutions), func(a, b string) int { return len(b) - len(a) }) {
		if strings.ContainsFunc(tag, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.'
		}) {
			list = append(list, tag, p.Substitutions[tag])
		}
	}
	return list
}

// filled tells whether there are values for tags.
func (p personalization) filled() bool {
	return len(p.Substitutions) > 0 || isGiven(bytes.TrimSpace(p.DynamicTemplateData))
}

// customFields are the substitutions and the data for templates, which win.
func (p *personalization) customFields() (json.RawMessage, error) {
	if len(p.Substitutions) == 0 {
		return p.DynamicTemplateData, nil
	}
	substitutions, err := json.Marshal(p.Substitutions)
	if err != nil {
		return nil, fmt.Errorf("encode substitutions: %w", err)
	}
	return mail.MergeFields(substitutions, p.DynamicTemplateData)
}

// sendGridNames are what the fields of a request are called here.
var sendGridNames = map[string]string{"ippool": "ip_pool_name", "tpspTemplate": "template_id", "replyTo": "reply_to", "groups": "categories",
	"htmlBody": "content", "textBody": "content", "ampBody": "content", "customFields": "dynamic_template_data", "trackOpens": "tracking_settings.open_tracking",
	"trackClicks": "tracking_settings.click_tracking"}

// blameSendGrid names a field of a request by its place in the body.
func blameSendGrid(origins []sendGridOrigin, field string) string {
	name, rest := field, ""
	if i := strings.IndexAny(field, ".["); i >= 0 {
		name, rest = field[:i], field[i:]
	}
	if name != "to" {
		if other := sendGridNames[name]; other != "" {
			name = other
		}
		return dotted(name + rest)
	}
	index, rest, _ := strings.Cut(strings.TrimPrefix(rest, "["), "]")
	n, err := strconv.Atoi(index)
	if err != nil || n >= len(origins) {
		return "personalizations"
	}
	at := "personalizations." + strconv.Itoa(origins[n].personalization)
	if rest = dotted(rest); rest == "" {
		return at
	}
	if strings.HasPrefix(rest, ".cc.") || strings.HasPrefix(rest, ".bcc.") {
		return at + rest
	}
	if rest == ".customFields" {
		return at + ".dynamic_template_data"
	}
	return at + ".to." + strconv.Itoa(origins[n].to) + rest
}

// dotted writes a path as SendGrid does: to.0.email.
func dotted(path string) string {
	return strings.NewReplacer("[", ".", "]", "").Replace(path)
}
