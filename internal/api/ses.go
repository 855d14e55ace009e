package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"mime"
	"net/http"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/rawmail"
)

// sesData is a text of SES; its charset does not matter, because JSON and forms are UTF-8.
type sesData struct {
	Data string `json:"Data"`
}

type sesBody struct {
	Text sesData `json:"Text"`
	HTML sesData `json:"Html"`
}

type sesTag struct {
	Name  string `json:"Name"`
	Value string `json:"Value"`
}

type sesDestination struct {
	ToAddresses  []string `json:"ToAddresses"`
	CCAddresses  []string `json:"CcAddresses"`
	BCCAddresses []string `json:"BccAddresses"`
}

// sendPostOptions are SendPost's additions to the bodies of SES.
type sendPostOptions struct {
	IPPool          string `json:"IPPool"`
	TrackOpens      *bool  `json:"TrackOpens"`
	TrackClicks     *bool  `json:"TrackClicks"`
	WebhookEndpoint string `json:"WebhookEndpoint"`
}

type sesFile struct {
	FileName           string `json:"FileName"`
	RawContent         string `json:"RawContent"`
	ContentDisposition string `json:"ContentDisposition"`
	ContentID          string `json:"ContentId"`
}

type sesMessage struct {
	Subject     sesData   `json:"Subject"`
	Body        sesBody   `json:"Body"`
	Headers     []sesTag  `json:"Headers"`
	Attachments []sesFile `json:"Attachments"`
}

// sesV1Request is what SES's first API takes for SendEmail, SendRawEmail and SendTemplatedEmail, as JSON or as a form.
type sesV1Request struct {
	Source               string          `json:"Source"`
	Destination          sesDestination  `json:"Destination"`
	Message              *sesMessage     `json:"Message"`
	RawMessage           *sesData        `json:"RawMessage"`
	Destinations         []string        `json:"Destinations"` // of a raw message
	Template             string          `json:"Template"`
	TemplateData         string          `json:"TemplateData"`
	ReplyToAddresses     []string        `json:"ReplyToAddresses"`
	Tags                 []sesTag        `json:"Tags"`
	ConfigurationSetName string          `json:"ConfigurationSetName"`
	SendPostOptions      sendPostOptions `json:"SendPostOptions"`
}

// sesV2Request is what SES's second API takes for SendEmail.
type sesV2Request struct {
	FromEmailAddress string         `json:"FromEmailAddress"`
	Destination      sesDestination `json:"Destination"`
	ReplyToAddresses []string       `json:"ReplyToAddresses"`
	Content          struct {
		Simple   *sesMessage `json:"Simple"`
		Raw      *sesData    `json:"Raw"`
		Template *struct {
			TemplateName    string          `json:"TemplateName"`
			TemplateData    string          `json:"TemplateData"`
			TemplateContent json.RawMessage `json:"TemplateContent"`
			TemplateARN     string          `json:"TemplateArn"`
			Headers         []sesTag        `json:"Headers"`
			Attachments     []sesFile       `json:"Attachments"`
		} `json:"Template"`
	} `json:"Content"`
	EmailTags              []sesTag        `json:"EmailTags"`
	ConfigurationSetName   string          `json:"ConfigurationSetName"`
	ListManagementOptions  json.RawMessage `json:"ListManagementOptions"`
	ConfigurationOverrides json.RawMessage `json:"ConfigurationOverrides"`
	SendPostOptions        sendPostOptions `json:"SendPostOptions"`
}

// sesAnswer is the answer to a send, whose messages are known by the id of the first.
type sesAnswer struct {
	MessageID string `json:"MessageId"`
}

// sesMail is an email of either API.
type sesMail struct {
	source      string
	destination sesDestination
	replyTo     []string
	message     *sesMessage
	raw         *sesData
	template    string
	data        string
	tags        []sesTag
	set         string
	options     sendPostOptions
	names       map[string]string // of fields of a request in the body
}

func (s *server) sesV1Send(w http.ResponseWriter, r *http.Request, a *directory.SubAccount) error {
	w.Header().Set("X-Amzn-Requestid", requestID(r.Context()))
	return s.takeIn(w, r, a, readSESv1, answerSES)
}

func (s *server) sesV2Send(w http.ResponseWriter, r *http.Request, a *directory.SubAccount) error {
	w.Header().Set("X-Amzn-Requestid", requestID(r.Context()))
	return s.takeIn(w, r, a, readSESv2, answerSES)
}

// Forms of SES's first API.
const (
	formContent = "application/x-www-form-urlencoded"
	xmlContent  = "text/xml"
	sesXML      = "http://ses.amazonaws.com/doc/2010-12-01/"
	sesVersion  = "2010-12-01"
)

// isForm tells whether a request is a form, which is answered in XML. SES's second API has none: what curl calls a form is JSON there.
func isForm(r *http.Request) bool {
	if !strings.Contains(r.URL.Path, "/ses/v1") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read is no form
	return kind == formContent
}

// failAsSES answers with an error as SES does.
func failAsSES(w http.ResponseWriter, r *http.Request, p problem) {
	code, message := sesCode(p, isForm(r)), p.Message
	if p.Field != "" && !strings.HasPrefix(message, p.Field) {
		message = p.Field + ": " + message
	}
	status := p.status
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	if isForm(r) {
		type sesError struct{ Type, Code, Message string }
		kind := "Sender"
		if status >= http.StatusInternalServerError {
			kind = "Receiver"
		}
		text, _ := xml.Marshal(struct { // strings can be encoded
			XMLName   xml.Name `xml:"ErrorResponse"`
			NS        string   `xml:"xmlns,attr"`
			Error     sesError
			RequestID string `xml:"RequestId"`
		}{NS: sesXML, Error: sesError{kind, code, message}, RequestID: p.RequestID})
		replyAs(w, status, xmlContent, text)
		return
	}
	w.Header().Set("X-Amzn-Errortype", code)
	_ = reply(w, status, map[string]string{"__type": code, "message": message})
}

// sesCode is what SES calls a problem.
func sesCode(p problem, first bool) string {
	names := map[int][2]string{
		http.StatusBadRequest:            {"InvalidParameterValue", "BadRequestException"},
		http.StatusUnprocessableEntity:   {"InvalidParameterValue", "BadRequestException"},
		http.StatusUnauthorized:          {"InvalidClientTokenId", "UnrecognizedClientException"},
		http.StatusConflict:              {"Conflict", "ConflictException"},
		http.StatusRequestEntityTooLarge: {"RequestEntityTooLarge", "RequestEntityTooLargeException"},
		http.StatusTooManyRequests:       {"Throttling", "TooManyRequestsException"},
		http.StatusServiceUnavailable:    {"ServiceUnavailable", "ServiceUnavailableException"},
	}[p.status]
	switch {
	case p.Code == "unknown_action" && first:
		return "InvalidAction"
	case names == [2]string{}:
		return "InternalFailure"
	case first:
		return names[0]
	}
	return names[1]
}

// answerSES tells the id of the first message.
func answerSES(r *http.Request, results []accept.Result) (written, error) {
	id := results[0].ID.String()
	if !isForm(r) {
		body, err := json.Marshal(sesAnswer{id})
		return written{Status: http.StatusOK, Body: body}, err
	}
	action := r.PostForm.Get("Action")
	type result struct {
		XMLName   xml.Name
		MessageID string `xml:"MessageId"`
	}
	body, err := xml.Marshal(struct {
		XMLName   xml.Name
		NS        string `xml:"xmlns,attr"`
		Result    result
		RequestID string `xml:"ResponseMetadata>RequestId"`
	}{XMLName: xml.Name{Local: action + "Response"}, NS: sesXML, Result: result{xml.Name{Local: action + "Result"}, id}, RequestID: requestID(r.Context())})
	return written{Status: http.StatusOK, Type: xmlContent, Body: body}, err
}

// readSESv1 reads a form or JSON. A form that is JSON is one of curl's, and JSON.
func readSESv1(r *http.Request, body []byte) (mails, error) {
	var in sesV1Request
	if isForm(r) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		r.Header.Set("Content-Type", contentType[0])
	}
	if isForm(r) {
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return mails{}, mail.Invalid("malformed_form", "", "the form cannot be read")
		}
		r.PostForm = values
		if err := in.readForm(values); err != nil {
			return mails{}, err
		}
	} else if err := decode(body, &in); err != nil {
		return mails{}, err
	}
	if in.Message != nil && (in.RawMessage != nil || in.Template != "") || in.RawMessage != nil && in.Template != "" {
		return mails{}, mail.Invalid("invalid_content", "Message", "one of Message, RawMessage and Template is needed")
	}
	m := sesMail{source: in.Source, destination: in.Destination, replyTo: in.ReplyToAddresses, message: in.Message, raw: in.RawMessage, template: in.Template,
		data: in.TemplateData, tags: in.Tags, set: in.ConfigurationSetName, options: in.SendPostOptions, names: map[string]string{
			"from": "Source", "subject": "Message.Subject.Data", "htmlBody": "Message.Body.Html.Data", "textBody": "Message.Body.Text.Data",
			"tpspTemplate": "Template", "customFields": "TemplateData", "groups": "Tags"}}
	if in.RawMessage != nil && len(in.Destinations) > 0 {
		m.destination.BCCAddresses = in.Destinations // the header says which of them it shows
	}
	return m.read(r)
}

// readForm reads the fields of a form.
func (in *sesV1Request) readForm(form url.Values) error {
	list := func(name string) (all []string) {
		for i := 1; form.Has(name + ".member." + strconv.Itoa(i)); i++ {
			all = append(all, form.Get(name+".member."+strconv.Itoa(i)))
		}
		return all
	}
	switch action := form.Get("Action"); action {
	case "SendEmail":
		in.Message = &sesMessage{Subject: sesData{form.Get("Message.Subject.Data")},
			Body: sesBody{Text: sesData{form.Get("Message.Body.Text.Data")}, HTML: sesData{form.Get("Message.Body.Html.Data")}}}
	case "SendRawEmail":
		in.RawMessage = &sesData{form.Get("RawMessage.Data")}
	case "SendTemplatedEmail":
		in.Template, in.TemplateData = form.Get("Template"), form.Get("TemplateData")
	default:
		return mail.Invalid("unknown_action", "Action", "Action must be SendEmail, SendRawEmail or SendTemplatedEmail, not %.40q", action)
	}
	if version := form.Get("Version"); version != "" && version != sesVersion {
		return mail.Invalid("unknown_version", "Version", "the only version is %s", sesVersion)
	}
	in.Source, in.ConfigurationSetName = form.Get("Source"), form.Get("ConfigurationSetName")
	in.Destination = sesDestination{list("Destination.ToAddresses"), list("Destination.CcAddresses"), list("Destination.BccAddresses")}
	in.Destinations, in.ReplyToAddresses = list("Destinations"), list("ReplyToAddresses")
	for i := 1; form.Has(fmt.Sprintf("Tags.member.%d.Name", i)); i++ {
		in.Tags = append(in.Tags, sesTag{form.Get(fmt.Sprintf("Tags.member.%d.Name", i)), form.Get(fmt.Sprintf("Tags.member.%d.Value", i))})
	}
	o := &in.SendPostOptions
	o.IPPool, o.WebhookEndpoint = form.Get("SendPostOptions.IPPool"), form.Get("SendPostOptions.WebhookEndpoint")
	for name, into := range map[string]**bool{"TrackOpens": &o.TrackOpens, "TrackClicks": &o.TrackClicks} {
		if name = "SendPostOptions." + name; form.Has(name) {
			value, err := strconv.ParseBool(form.Get(name))
			if err != nil {
				return mail.Invalid("wrong_type", name, "%s must be true or false", name)
			}
			*into = &value
		}
	}
	return nil
}

func readSESv2(r *http.Request, body []byte) (mails, error) {
	var in sesV2Request
	if err := decode(body, &in); err != nil {
		return mails{}, err
	}
	m := sesMail{source: in.FromEmailAddress, destination: in.Destination, replyTo: in.ReplyToAddresses, message: in.Content.Simple, raw: in.Content.Raw,
		tags: in.EmailTags, set: in.ConfigurationSetName, options: in.SendPostOptions, names: map[string]string{
			"from": "FromEmailAddress", "subject": "Content.Simple.Subject.Data", "htmlBody": "Content.Simple.Body.Html.Data",
			"textBody": "Content.Simple.Body.Text.Data", "headers": "Content.Simple.Headers", "attachments": "Content.Simple.Attachments",
			"tpspTemplate": "Content.Template.TemplateName", "customFields": "Content.Template.TemplateData", "groups": "EmailTags"}}
	kinds := 0
	for _, there := range []bool{in.Content.Simple != nil, in.Content.Raw != nil, in.Content.Template != nil} {
		if there {
			kinds++
		}
	}
	switch t := in.Content.Template; {
	case isGiven(in.ListManagementOptions):
		return mails{}, cannot("ListManagementOptions", "there are no contact lists")
	case isGiven(in.ConfigurationOverrides):
		return mails{}, cannot("ConfigurationOverrides", "use SendPostOptions")
	case kinds != 1:
		return mails{}, mail.Invalid("invalid_content", "Content", "one of Simple, Raw and Template is needed")
	case t == nil:
	case isGiven(t.TemplateContent):
		return mails{}, cannot("Content.Template.TemplateContent", "name a template, or use Simple")
	case t.TemplateARN != "":
		return mails{}, cannot("Content.Template.TemplateArn", "name the template by TemplateName")
	default:
		m.template, m.data = t.TemplateName, t.TemplateData
		m.message = &sesMessage{Headers: t.Headers, Attachments: t.Attachments}
		if t.TemplateName == "" {
			return mails{}, mail.Invalid("missing_template", "Content.Template.TemplateName", "a template is needed")
		}
	}
	return m.read(r)
}

// read makes a request of an email of either API.
func (m *sesMail) read(r *http.Request) (mails, error) {
	request, err := m.request()
	if err != nil {
		return mails{}, err
	}
	c := &request.Content
	c.Literal = m.template == "" // SES fills in templates only
	c.Pool = m.options.IPPool
	if c.Pool == "" {
		c.Pool = r.Header.Get(poolHeader)
	}
	c.TrackOpens, c.TrackClicks, c.WebhookEndpoint = m.options.TrackOpens, m.options.TrackClicks, m.options.WebhookEndpoint
	for _, tag := range m.tags {
		c.Groups = append(c.Groups, tag.Name+":"+tag.Value)
	}
	if m.set != "" {
		if c.Headers == nil {
			c.Headers = map[string]string{}
		}
		c.Headers[configurationSet] = m.set
	}
	return mails{requests: []*accept.Request{request}, blame: m.blame}, nil
}

// Header fields by which SES is told about a raw mail.
const (
	configurationSet = "X-SES-CONFIGURATION-SET"
	messageTags      = "X-SES-MESSAGE-TAGS"
)

func (m *sesMail) request() (*accept.Request, error) {
	to, err1 := sesAddresses("Destination.ToAddresses", m.destination.ToAddresses)
	cc, err2 := sesAddresses("Destination.CcAddresses", m.destination.CCAddresses)
	bcc, err3 := sesAddresses("Destination.BccAddresses", m.destination.BCCAddresses)
	from, err4 := sesAddress(m.names["from"], m.source)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	if m.raw != nil {
		return m.rawRequest(from, to, cc, bcc)
	}
	c := mail.Content{From: from, Template: m.template}
	if m.message == nil && m.template == "" {
		return nil, mail.Invalid("invalid_content", "Message", "Message, RawMessage or Template is needed")
	}
	if msg := m.message; msg != nil {
		c.Subject, c.Text, c.HTML = msg.Subject.Data, msg.Body.Text.Data, msg.Body.HTML.Data
		headers := map[string]string{}
		for _, h := range msg.Headers {
			if _, twice := headers[h.Name]; twice {
				return nil, cannot("headers."+h.Name, "a header is there once")
			}
			headers[h.Name] = h.Value
		}
		var bad *mail.FieldError
		if c.Headers, bad = mailHeaders("headers.", headers); bad != nil {
			return nil, bad
		}
		for i, f := range msg.Attachments {
			if strings.EqualFold(f.ContentDisposition, "INLINE") {
				return nil, cannot(fmt.Sprintf("Attachments[%d].ContentDisposition", i), "a file cannot be shown inside the text")
			}
			c.Attachments = append(c.Attachments, mail.Attachment{Filename: f.FileName, Content: f.RawContent})
		}
	}
	if m.template == "" && !c.HasBody() {
		return nil, mail.Invalid("missing_body", "Body", "a text or HTML body is needed")
	}
	if len(m.replyTo) > 0 { // SendPost takes the first one only
		a, err := sesAddress("ReplyToAddresses[0]", m.replyTo[0])
		if err != nil {
			return nil, err
		}
		c.ReplyTo = &a
	}
	fields := json.RawMessage(strings.TrimSpace(m.data))
	if len(fields) > 0 && (fields[0] != '{' || !json.Valid(fields) || depth(fields) > maxDepth) {
		return nil, mail.Invalid("invalid_template_data", "TemplateData", "TemplateData must be a JSON object, nested %d deep at most", maxDepth)
	}
	c.CustomFields = fields
	return sesRequest(c, to, cc, bcc)
}

// rawRequest takes a raw mail apart. Who gets it is what the destinations say, if there are any; as what they get it, the mail's header.
func (m *sesMail) rawRequest(from mail.Address, to, cc, bcc []mail.Address) (*accept.Request, error) {
	raw, err := base64.StdEncoding.DecodeString(m.raw.Data)
	if err != nil {
		return nil, mail.Invalid("invalid_raw_message", "Data", "the mail must be in base64")
	}
	parsed, err := rawmail.Parse(raw)
	if err != nil {
		return nil, err
	}
	c := parsed.Content
	if c.From.Email == "" {
		c.From = from
	}
	if c.ReplyTo == nil && len(m.replyTo) > 0 {
		a, err := sesAddress("ReplyToAddresses[0]", m.replyTo[0])
		if err != nil {
			return nil, err
		}
		c.ReplyTo = &a
	}
	for name, value := range c.Headers {
		switch {
		case strings.EqualFold(name, messageTags):
			for tag := range strings.SplitSeq(value, ",") {
				k, v, _ := strings.Cut(strings.TrimSpace(tag), "=")
				c.Groups = append(c.Groups, k+":"+v)
			}
			delete(c.Headers, name)
		case strings.EqualFold(name, configurationSet) && m.set != "":
			delete(c.Headers, name)
		case strings.EqualFold(name, "X-SES-LIST-MANAGEMENT-OPTIONS"):
			return nil, cannot(name, "there are no contact lists")
		}
	}
	if len(to)+len(cc)+len(bcc) == 0 {
		return sesRequest(c, parsed.To, parsed.CC, parsed.BCC)
	}
	envelope := [3][]mail.Address{}
	for _, a := range append(append(to, cc...), bcc...) {
		kind := 2
		for k, shown := range [][]mail.Address{parsed.To, parsed.CC} {
			for _, b := range shown {
				if strings.EqualFold(a.Email, b.Email) {
					kind, a = min(kind, k), b
				}
			}
		}
		envelope[kind] = append(envelope[kind], a)
	}
	return sesRequest(c, envelope[0], envelope[1], envelope[2])
}

// sesRequest is one message for each `to`, of which the first has the copies. Without any, those who get copies get messages.
func sesRequest(c mail.Content, to, cc, bcc []mail.Address) (*accept.Request, error) {
	request := &accept.Request{Content: c, Strict: true}
	if len(to) == 0 {
		to, cc, bcc = append(cc, bcc...), nil, nil
	}
	for i, a := range to {
		recipient := mail.Recipient{Address: a}
		if i == 0 {
			recipient.CC, recipient.BCC = cc, bcc
		}
		request.Recipients = append(request.Recipients, recipient)
	}
	return request, nil
}

func sesAddresses(field string, texts []string) (list []mail.Address, err error) {
	if len(texts) > mail.MaxRecipients {
		return nil, mail.Invalid("too_many_recipients", field, "there are at most %d addresses", mail.MaxRecipients)
	}
	for i, text := range texts {
		a, err := sesAddress(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// sesAddress reads an address, with or without a name before it. One without angle brackets is judged later.
func sesAddress(field, text string) (mail.Address, error) {
	if !strings.Contains(text, "<") {
		return mail.Address{Email: text}, nil
	}
	a, err := netmail.ParseAddress(text)
	if err != nil {
		return mail.Address{}, mail.Invalid("invalid_address", field, "%s: %.100q is no address", field, text)
	}
	return mail.Address{Email: a.Address, Name: a.Name}, nil
}

// blame names a field as SES does.
func (m *sesMail) blame(_ int, field string) string {
	name, rest := field, ""
	if i := strings.IndexAny(field, ".["); i >= 0 {
		name, rest = field[:i], field[i:]
	}
	switch name {
	case "to":
		return "Destination" + rest
	case "replyTo":
		return "ReplyToAddresses"
	case "ippool":
		return "SendPostOptions.IPPool"
	case "webhookEndpoint":
		return "SendPostOptions.WebhookEndpoint"
	}
	if known := m.names[name]; known != "" {
		return known
	}
	return name + rest
}
