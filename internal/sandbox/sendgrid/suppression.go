package sendgrid

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"postyard/internal/sandbox/store"
)

// suppressionKey is an entry of one of the account's lists. The lists of unsubscribe groups have the group's number.
type suppressionKey struct {
	list  string
	email string // in lower case
}

// The lists, in the order in which they count.
const (
	listBounces      = "bounces"
	listSpamReports  = "spam_reports"
	listUnsubscribes = "unsubscribes"
	listGroup        = "group-"
)

func groupList(group int64) string { return listGroup + strconv.FormatInt(group, 10) }

func (k suppressionKey) document() store.Document {
	return store.Document{Provider: Provider, Kind: kindSuppression, ID: k.list + "/" + k.email, Value: true}
}

// reason is why mail of an unsubscribe group, or of none, to an address is dropped; "" when it is not.
func (a *account) reason(email string, group int64) string {
	if len(a.suppressions) == 0 {
		return ""
	}
	lower := strings.ToLower(email)
	switch {
	case a.suppressions[suppressionKey{listBounces, lower}]:
		return reasonBounced
	case a.suppressions[suppressionKey{listSpamReports, lower}]:
		return reasonSpam
	case a.suppressions[suppressionKey{listUnsubscribes, lower}], group != 0 && a.suppressions[suppressionKey{groupList(group), lower}]:
		return reasonUnsubscribed
	}
	return ""
}

func (a *account) restoreSuppression(id string, value json.RawMessage) error {
	list, email, ok := strings.Cut(id, "/")
	if !ok {
		return fmt.Errorf("sendgrid: no suppression %q", id)
	}
	if value == nil {
		delete(a.suppressions, suppressionKey{list, email})
		return nil
	}
	a.suppressions[suppressionKey{list, email}] = true
	return nil
}

// suppress puts the recipient of an event on the list that it leads to, or takes them off it. The caller holds mu.
func (s *Simulator) suppress(m *content, e store.Event) error {
	key := suppressionKey{email: strings.ToLower(e.Recipient)}
	switch {
	case e.Kind == store.Bounced && e.Type == bounceHard:
		key.list = listBounces
	case e.Kind == store.Complained:
		key.list = listSpamReports
	case e.Kind == store.Subscribed && e.Type == eventUnsubscribe:
		key.list = listUnsubscribes
	case e.Kind == store.Subscribed:
		key.list = groupList(m.request.groupOf())
	default:
		return nil
	}
	var err error
	switch listed := s.account.suppressions[key]; {
	case e.Lifted && listed:
		if err = s.store.Delete(key.document()); err == nil {
			delete(s.account.suppressions, key)
		}
	case !e.Lifted && !listed:
		if err = s.store.Put(key.document()); err == nil {
			s.account.suppressions[key] = true
		}
	}
	if err != nil {
		return fmt.Errorf("sendgrid: suppress: %w", err)
	}
	return nil
}
