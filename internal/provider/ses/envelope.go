package ses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxWebhook caps a webhook body, in bytes. A message of SNS has at most 256 KB, before it is escaped.
const maxWebhook = 1 << 20

// Types of what SNS posts.
const (
	typeNotification = "Notification"
	typeConfirmation = "SubscriptionConfirmation"
	typeUnsubscribed = "UnsubscribeConfirmation"
)

// envelope is what SNS posts. Of a field that is there twice, in whatever case of letters, the last one counts, here and for the signature.
type envelope struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicArn         string
	Subject          *string
	Message          string
	Timestamp        string
	Token            string
	SubscribeURL     string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

func readEnvelope(body []byte) (*envelope, error) {
	if len(body) > maxWebhook {
		return nil, fmt.Errorf("%d bytes are more than %d", len(body), maxWebhook)
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("not a message of Amazon SNS (%d bytes)", len(body))
	}
	return &e, nil
}

// signed returns what the signature is over; ok is false for a type that is not SNS's.
func (e *envelope) signed() (text string, ok bool) {
	pairs := []string{"Message", e.Message, "MessageId", e.MessageID}
	switch e.Type {
	case typeNotification:
		if e.Subject != nil {
			pairs = append(pairs, "Subject", *e.Subject)
		}
		pairs = append(pairs, "Timestamp", e.Timestamp)
	case typeConfirmation, typeUnsubscribed:
		pairs = append(pairs, "SubscribeURL", e.SubscribeURL, "Timestamp", e.Timestamp, "Token", e.Token)
	default:
		return "", false
	}
	pairs = append(pairs, "TopicArn", e.TopicArn, "Type", e.Type)
	return strings.Join(pairs, "\n") + "\n", true
}

// signature decodes it; nil when it is none.
func (e *envelope) signature() []byte {
	raw, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		return nil
	}
	return raw
}

// agrees tells whether the headers, where SNS's are there, say what the body says.
func (e *envelope) agrees(h http.Header) bool {
	for name, want := range map[string]string{
		"X-Amz-Sns-Message-Type": e.Type, "X-Amz-Sns-Message-Id": e.MessageID, "X-Amz-Sns-Topic-Arn": e.TopicArn,
	} {
		for _, value := range h.Values(name) {
			if value != want {
				return false
			}
		}
	}
	return true
}
