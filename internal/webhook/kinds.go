package webhook

import (
	"encoding/json"

	"postyard/internal/event"
	"postyard/internal/store"
)

// allKinds are all of SendPost's toggles.
const allKinds = store.HookUniqueClick<<1 - 1

// kindsOf returns the toggles of which any one makes an account's webhook get an event.
func kindsOf(e *store.OutEvent) store.HookKinds {
	info, known := event.Describe(e.Type)
	if !known {
		return 0
	}
	first := e.Marks&store.MarkFirst != 0
	switch info.Kind {
	case event.Processed:
		return store.HookProcessed
	case event.Sent:
		return store.HookSent
	case event.Delivered:
		return store.HookDelivered
	case event.Deferred, event.SoftBounced:
		return store.HookSoftBounced
	case event.HardBounced:
		return store.HookHardBounced
	case event.Dropped, event.RenderingFailure:
		if info.Family != event.Native || smtpCode(e.Detail) != 0 { // a provider or a mail server said so
			return store.HookDropped | store.HookSMTPDropped
		}
		return store.HookDropped
	case event.Opened:
		if first {
			return store.HookOpened | store.HookUniqueOpen
		}
		return store.HookOpened
	case event.Clicked:
		if first {
			return store.HookClicked | store.HookUniqueClick
		}
		return store.HookClicked
	case event.Unsubscribed, event.GroupUnsubscribe, event.GroupResubscribe:
		return store.HookUnsubscribed
	case event.Spam:
		return store.HookSpam
	}
	return 0
}

// smtpCode reads the code in the detail of an event; what cannot be read has none.
func smtpCode(detail []byte) int {
	var d struct {
		SMTPCode int `json:"smtpCode"`
	}
	if json.Unmarshal(detail, &d) != nil {
		return 0
	}
	return d.SMTPCode
}

// wants tells whether an endpoint gets an event of its account.
func wants(e *store.Endpoint, o *store.OutEvent) bool {
	if e.Named {
		return o.Hook == e.URL
	}
	return kindsOf(o)&e.Kinds != 0
}
