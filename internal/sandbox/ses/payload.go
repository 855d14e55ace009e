package ses

import (
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"

	"postyard/internal/sandbox/mimeview"
	"postyard/internal/sandbox/store"
)

// stampForm is a time as SES and SNS write it: UTC with milliseconds.
const stampForm = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(stampForm) }

// Those who take part in a simulated delivery. The addresses are of documentation ranges.
const (
	outgoingIP   = "192.0.2.10"
	remoteIP     = "192.0.2.2"
	readerIP     = "203.0.113.42"
	reportingMTA = "a8-70.smtp-out.amazonses.com"
	bounceMTA    = "dsn; " + reportingMTA
	readerAgent  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

	processingMillis = 546
	// maxHeaders is how many bytes of a mail's header events tell of.
	maxHeaders = 10 << 10
)

// eventBody is what is published about an event.
type eventBody struct {
	EventType     string             `json:"eventType"`
	Send          *none              `json:"send,omitempty"`
	Delivery      *deliveryBody      `json:"delivery,omitempty"`
	Bounce        *bounceBody        `json:"bounce,omitempty"`
	Complaint     *complaintBody     `json:"complaint,omitempty"`
	Reject        *rejectBody        `json:"reject,omitempty"`
	Open          *openBody          `json:"open,omitempty"`
	Click         *clickBody         `json:"click,omitempty"`
	Failure       *failureBody       `json:"failure,omitempty"`
	DeliveryDelay *delayBody         `json:"deliveryDelay,omitempty"`
	Subscription  *subscriptionEvent `json:"subscription,omitempty"`
	Mail          mailBody           `json:"mail"`
}

type mailBody struct {
	Timestamp        string              `json:"timestamp"`
	Source           string              `json:"source"`
	SourceARN        string              `json:"sourceArn"`
	SendingAccountID string              `json:"sendingAccountId"`
	MessageID        string              `json:"messageId"`
	Destination      []string            `json:"destination"`
	HeadersTruncated bool                `json:"headersTruncated"`
	Headers          []headerBody        `json:"headers"`
	CommonHeaders    commonHeaders       `json:"commonHeaders"`
	Tags             map[string][]string `json:"tags"`
}

type headerBody struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type commonHeaders struct {
	From      []string `json:"from"`
	ReplyTo   []string `json:"replyTo,omitempty"`
	Date      string   `json:"date,omitempty"`
	To        []string `json:"to,omitempty"`
	Cc        []string `json:"cc,omitempty"`
	MessageID string   `json:"messageId"`
	Subject   string   `json:"subject"`
}

type deliveryBody struct {
	Timestamp            string   `json:"timestamp"`
	ProcessingTimeMillis int      `json:"processingTimeMillis"`
	Recipients           []string `json:"recipients"`
	SMTPResponse         string   `json:"smtpResponse"`
	RemoteMTAIP          string   `json:"remoteMtaIp"`
	ReportingMTA         string   `json:"reportingMTA"`
}

type bounceBody struct {
	FeedbackID        string             `json:"feedbackId"`
	BounceType        string             `json:"bounceType"`
	BounceSubType     string             `json:"bounceSubType"`
	BouncedRecipients []bouncedRecipient `json:"bouncedRecipients"`
	Timestamp         string             `json:"timestamp"`
	RemoteMTAIP       string             `json:"remoteMtaIp,omitempty"`
	ReportingMTA      string             `json:"reportingMTA"`
}

type bouncedRecipient struct {
	EmailAddress   string `json:"emailAddress"`
	Action         string `json:"action,omitempty"`
	Status         string `json:"status,omitempty"`
	DiagnosticCode string `json:"diagnosticCode,omitempty"`
}

type complaintBody struct {
	FeedbackID            string        `json:"feedbackId"`
	ComplaintSubType      *string       `json:"complaintSubType"`
	ComplainedRecipients  []onlyAddress `json:"complainedRecipients"`
	Timestamp             string        `json:"timestamp"`
	UserAgent             string        `json:"userAgent"`
	ComplaintFeedbackType string        `json:"complaintFeedbackType"`
	ArrivalDate           string        `json:"arrivalDate"`
}

type onlyAddress struct {
	EmailAddress string `json:"emailAddress"`
}

type rejectBody struct {
	Reason string `json:"reason"`
}

type openBody struct {
	IPAddress string `json:"ipAddress"`
	Timestamp string `json:"timestamp"`
	UserAgent string `json:"userAgent"`
}

type clickBody struct {
	IPAddress string              `json:"ipAddress"`
	Link      string              `json:"link"`
	LinkTags  map[string][]string `json:"linkTags"`
	Timestamp string              `json:"timestamp"`
	UserAgent string              `json:"userAgent"`
}

type failureBody struct {
	ErrorMessage string `json:"errorMessage"`
	TemplateName string `json:"templateName"`
}

type delayBody struct {
	Timestamp         string             `json:"timestamp"`
	DelayType         string             `json:"delayType"`
	ExpirationTime    string             `json:"expirationTime"`
	DelayedRecipients []bouncedRecipient `json:"delayedRecipients"`
	ReportingMTA      string             `json:"reportingMTA"`
}

type subscriptionEvent struct {
	ContactList         string           `json:"contactList"`
	Timestamp           string           `json:"timestamp"`
	Source              string           `json:"source"`
	NewTopicPreferences topicPreferences `json:"newTopicPreferences"`
	OldTopicPreferences topicPreferences `json:"oldTopicPreferences"`
}

type topicPreferences struct {
	UnsubscribeAll          bool              `json:"unsubscribeAll"`
	TopicSubscriptionStatus []topicPreference `json:"topicSubscriptionStatus"`
}

type topicPreference struct {
	TopicName          string `json:"topicName"`
	SubscriptionStatus string `json:"subscriptionStatus"`
}

// contactList is the list that recipients unsubscribe from, and its one topic.
const (
	contactList  = "Sandbox"
	contactTopic = "Everything"
)

// payload is what is published about an event. It is the same whenever it is made.
func payload(mail *store.Mail, e store.Event) eventBody {
	m, at := contentOf(mail), stamp(e.At)
	body := eventBody{EventType: eventType(e), Mail: m.describe(mail)}
	switch body.EventType {
	case eventSend:
		body.Send = &none{}
	case eventDelivery:
		body.Delivery = &deliveryBody{Timestamp: at, ProcessingTimeMillis: processingMillis, Recipients: []string{e.Recipient}, SMTPResponse: "250 ok",
			RemoteMTAIP: remoteIP, ReportingMTA: reportingMTA}
		body.Mail.Tags["ses:outgoing-ip"] = []string{outgoingIP}
	case eventBounce:
		kind, subtype, _ := strings.Cut(e.Type, "/")
		body.Bounce = &bounceBody{FeedbackID: feedbackID(mail, e), BounceType: kind, BounceSubType: subtype, Timestamp: at, ReportingMTA: bounceMTA,
			BouncedRecipients: []bouncedRecipient{{e.Recipient, "failed", statusOf(e), e.Detail}}}
	case eventComplaint:
		body.Complaint = &complaintBody{FeedbackID: feedbackID(mail, e), ComplainedRecipients: []onlyAddress{{e.Recipient}}, Timestamp: at,
			UserAgent: "Amazon SES Mailbox Simulator", ComplaintFeedbackType: e.Type, ArrivalDate: at}
	case eventReject:
		body.Reject = &rejectBody{Reason: e.Detail}
	case eventRendering:
		body.Failure = &failureBody{ErrorMessage: e.Detail, TemplateName: "sandbox-template"}
	case eventOpen:
		body.Open = &openBody{IPAddress: readerIP, Timestamp: at, UserAgent: readerAgent}
	case eventClick:
		body.Click = &clickBody{IPAddress: readerIP, Link: e.URL, LinkTags: nil, Timestamp: at, UserAgent: readerAgent}
	case eventDelay:
		body.DeliveryDelay = &delayBody{Timestamp: at, DelayType: e.Type, ExpirationTime: stamp(mail.ReceivedAt.Add(14 * time.Hour)),
			DelayedRecipients: []bouncedRecipient{{EmailAddress: e.Recipient, Status: statusOf(e), DiagnosticCode: e.Detail}}, ReportingMTA: reportingMTA}
	default:
		in, out := topicPreference{contactTopic, "OptIn"}, topicPreference{contactTopic, "OptOut"}
		body.Subscription = &subscriptionEvent{ContactList: contactList, Timestamp: at, Source: "UnsubscribeHeader",
			NewTopicPreferences: topicPreferences{true, []topicPreference{out}}, OldTopicPreferences: topicPreferences{false, []topicPreference{in}}}
	}
	return body
}

// statusOf is the enhanced status code that an event's words have, or one of its kind.
func statusOf(e store.Event) string {
	for word := range strings.FieldsSeq(e.Detail) {
		if len(word) == 5 && word[1] == '.' && word[3] == '.' {
			return word
		}
	}
	if strings.HasPrefix(e.Type, "Permanent/") {
		return "5.1.1"
	}
	return "4.0.0"
}

// describe tells of the message that an event is of.
func (m *content) describe(mail *store.Mail) mailBody {
	source := bare(m.From)
	_, domain, _ := splitAddress(source)
	body := mailBody{Timestamp: stamp(mail.ReceivedAt), Source: m.From, SourceARN: "arn:aws:ses:" + Region + ":" + accountID + ":identity/" + domain,
		SendingAccountID: accountID, MessageID: mail.ID, Destination: m.recipients(), Headers: []headerBody{},
		Tags: map[string][]string{"ses:operation": {"SendEmail"}, "ses:source-ip": {"127.0.0.1"}, "ses:from-domain": {domain},
			"ses:caller-identity": {"sandbox"}}}
	if m.Set != "" {
		body.Tags["ses:configuration-set"] = []string{m.Set}
	}
	for _, t := range m.Tags {
		body.Tags[t.Name] = append(body.Tags[t.Name], t.Value)
	}
	all := netmail.Header{}
	size := 0
	for _, h := range m.headers() {
		key := textproto.CanonicalMIMEHeaderKey(h.Name)
		all[key] = append(all[key], h.Value)
		if size += len(h.Name) + len(h.Value); size > maxHeaders {
			body.HeadersTruncated = true
			continue
		}
		body.Headers = append(body.Headers, headerBody(h))
	}
	body.CommonHeaders = commonHeaders{From: whole(all, "From"), ReplyTo: whole(all, "Reply-To"), Date: all.Get("Date"), To: whole(all, "To"),
		Cc: whole(all, "Cc"), MessageID: mail.ID, Subject: mimeview.Decoded(all, "Subject")}
	if len(body.CommonHeaders.From) == 0 {
		body.CommonHeaders.From = []string{m.From}
	}
	return body
}

// whole lists the addresses of a header field, each with its name.
func whole(h netmail.Header, name string) []string {
	list, err := h.AddressList(name)
	if err != nil {
		if text := h.Get(name); text != "" {
			return []string{text}
		}
		return nil
	}
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.Address
		if a.Name != "" {
			texts[i] = a.Name + " <" + a.Address + ">"
		}
	}
	return texts
}
