package toy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// Caps on foreign text, in bytes.
const (
	maxWebhook = 1 << 20
	maxID      = 100
	maxAddress = 320
)

// vocabulary are the provider's words for events. Parse works by it, and the documents show it.
var vocabulary = []provider.Word{
	{Word: "delivered", Kind: event.Delivered},
	{Word: "bounced", Kind: event.HardBounced, Note: "suppresses the address"},
	{Word: "opened", Kind: event.Opened},
	{Word: "clicked", Kind: event.Clicked},
	{Word: "complained", Kind: event.Spam, Note: "suppresses the address"},
	{Word: "withdrawn", Kind: event.Dropped, Note: "sent again by another provider"},
	{Word: "sneezed", None: true},
}

// item is an event on the wire.
type item struct {
	ID        string    `json:"id"`
	Word      string    `json:"event"`
	Message   string    `json:"message"`  // ours
	TPSP      int32     `json:"tpsp"`     // ours
	Provider  string    `json:"provider"` // the provider's id of the message
	Recipient string    `json:"recipient"`
	At        time.Time `json:"at"`
	Text      string    `json:"text"`
}

// Parse implements provider.Adapter. An item that cannot be read costs none of the others.
func (a *Adapter) Parse(_ http.Header, body []byte) ([]provider.Report, error) {
	if len(body) > maxWebhook {
		return nil, fmt.Errorf("parse a webhook of Toy: %d bytes are more than %d", len(body), maxWebhook)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil || list == nil {
		return nil, errors.New("parse a webhook of Toy: not a list")
	}
	var reports []provider.Report
	for _, raw := range list {
		var in item
		if json.Unmarshal(raw, &in) != nil || in.ID == "" {
			continue
		}
		if r, ok := a.report(in); ok {
			reports = append(reports, r)
		}
	}
	return reports, nil
}

func (a *Adapter) report(in item) (provider.Report, bool) {
	i := slices.IndexFunc(vocabulary, func(w provider.Word) bool { return w.Word == in.Word })
	if i < 0 || vocabulary[i].None {
		return provider.Report{}, false
	}
	r := provider.Report{Kind: vocabulary[i].Kind, MessageID: provider.OwnMessageID(in.Message), TPSPID: in.TPSP, ProviderMessageID: provider.Clean(in.Provider, maxID),
		Recipient: provider.Clean(in.Recipient, maxAddress), OccurredAt: in.At, Identity: "toy:" + provider.Clean(in.ID, maxID),
		SMTPDescription: provider.Clean(in.Text, provider.MaxText)}
	r.Detail.SMTPDescription = r.SMTPDescription
	r.Type, _ = event.TypeOf(event.Native, r.Kind) // all kinds of the vocabulary have one
	if now := a.Now(); r.OccurredAt.IsZero() || r.OccurredAt.After(now) {
		r.OccurredAt = now
	}
	switch r.Kind {
	case event.HardBounced:
		r.Final, r.Suppresses, r.Reason = true, true, provider.HardBounce
	case event.Spam:
		r.Suppresses, r.Reason = true, provider.SpamComplaint
	case event.Dropped:
		r.Refused = provider.Transient
	}
	return r, r.Recipient != ""
}
