package smtp

import (
	"strings"

	"postyard/internal/sandbox/mimeview"
	"postyard/internal/sandbox/store"
)

// messageHeader carries the gateway's id of a message.
const messageHeader = "X-Sendpost-Message-UUID"

// sendpostPrefix begins the headers that are shown as metadata.
const sendpostPrefix = "X-Sendpost-"

// mail is a letter in the inbox.
type mail struct{ *letter }

// keys are what the mail is found by: the addresses of its envelope, and the gateway's id.
func (m *mail) keys() []string {
	var keys []string
	for _, to := range m.To {
		keys = append(keys, store.Key(store.FieldRecipient, strings.ToLower(to)))
	}
	for _, h := range mimeview.Header(m.Data) {
		if strings.EqualFold(h.Name, messageHeader) {
			keys = append(keys, store.Key(store.FieldMetadata("messageid"), h.Value))
		}
	}
	return keys
}

// Metadata implements store.Content: the gateway's id of the message, and what else its own headers say.
func (m *mail) Metadata() map[string]string {
	metadata := map[string]string{}
	for _, h := range mimeview.Header(m.Data) {
		if len(h.Name) > len(sendpostPrefix) && strings.EqualFold(h.Name[:len(sendpostPrefix)], sendpostPrefix) {
			metadata[h.Name[len(sendpostPrefix):]] = h.Value
		}
		if strings.EqualFold(h.Name, messageHeader) {
			metadata["messageId"] = h.Value
		}
	}
	return metadata
}

// Source implements store.Sourced.
func (m *mail) Source() []byte { return m.Data }

// View implements store.Content.
func (m *mail) View() store.View {
	envelope := strings.Join(m.To, ", ")
	v := store.View{From: m.From, To: envelope, Headers: mimeview.Header(m.Data), Metadata: m.Metadata()}
	mimeview.Read(&v, m.Data)
	if v.To != envelope {
		v.Bcc = strings.Join(mimeview.Unnamed(m.To, m.Data), ", ")
	}
	return v
}
