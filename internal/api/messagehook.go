package api

import (
	"cmp"
	"net/http"
	"slices"

	"postyard/internal/directory"
	"postyard/internal/store"
)

// What is looked at for the webhooks of a message.
const (
	hookedEvents  = 500  // of the message, the newest
	hookedRecords = 2000 // of deliveries and of calls
)

// messageHookAnswer is an event of a message that was, or is to be, posted to an endpoint.
type messageHookAnswer struct {
	WebhookID   int32  `json:"webhookId"`
	URL         string `json:"url"`
	Named       bool   `json:"named"` // by the message (webhookEndpoint)
	EventID     string `json:"eventId"`
	Type        int    `json:"type"`
	Event       string `json:"event"`       // the type's name
	OccurredAt  int64  `json:"occurredAt"`  // of the event
	State       string `json:"state"`       // waiting, retry, delivered, given-up
	Attempts    int    `json:"attempts"`    // calls that were made
	NextTry     int64  `json:"nextTry"`     // of state retry
	LastAt      int64  `json:"lastAt"`      // of the last call; 0: none was made, or it is not kept any more
	LastStatus  int    `json:"lastStatus"`  // 0: there was no answer
	LastError   string `json:"lastError"`   // "" for a success
	LastTookMs  int64  `json:"lastTookMs"`  // how long it took
	WebhookNote string `json:"webhookNote"` // why the endpoint is posted nothing now, "" when it is
}

// messageHookOperations tell of the webhooks of messages.
func (s *server) messageHookOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/account/message/{id}/webhooks", accountKey, "list what was posted of a message's events, and what waits to be", s.forAccount(s.listMessageHooks)).
			answers(http.StatusOK, []messageHookAnswer{}),
	}
}

// listMessageHooks puts together what is to be posted and what was, as far as calls are kept (webhook.KeepTries).
func (s *server) listMessageHooks(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	m, err := s.findMessage(r, a)
	if err != nil {
		return err
	}
	events, err := s.Journal.Events(r.Context(), store.EventFilter{AccountID: a.ID, MessageID: m.ID, Newest: true, Limit: hookedEvents})
	if err != nil {
		return err
	}
	endpoints, err := s.endpointsOf(r, a, m)
	if err != nil {
		return err
	}
	ids := make([]int32, 0, len(endpoints))
	for id := range endpoints {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	bySeq, seqs := map[int64]*store.Event{}, make([]int64, len(events))
	for i := range events {
		seqs[i], bySeq[events[i].Seq] = events[i].Seq, &events[i]
	}
	standing, tries, err := s.Messages.DeliveriesOf(r.Context(), ids, seqs, hookedRecords)
	if err != nil {
		return err
	}
	found := map[store.DeliveryKey]*messageHookAnswer{}
	of := func(key store.DeliveryKey) *messageHookAnswer {
		if found[key] == nil {
			e, at := bySeq[key.Seq], endpoints[key.EndpointID]
			found[key] = &messageHookAnswer{WebhookID: at.ID, URL: shownURL(r, at.URL), Named: at.Named, EventID: s.eventID(e.Seq), Type: int(e.Type), Event: typeName(int(e.Type)),
				OccurredAt: nanos(e.OccurredAt), WebhookNote: noteOf(at)}
		}
		return found[key]
	}
	for i := range tries { // the newest first
		t := &tries[i]
		one := of(t.DeliveryKey)
		if one.Attempts == 0 {
			one.Attempts, one.State, one.LastAt, one.LastStatus, one.LastError, one.LastTookMs = t.Call, outcomes[t.Fate], nanos(t.At), t.Status, t.Error, t.Took.Milliseconds()
		}
	}
	for i := range standing {
		d := &standing[i]
		one := of(d.DeliveryKey)
		one.Attempts = max(one.Attempts, d.Calls)
		switch {
		case d.GivenUp:
			one.State = outcomes[store.GivenUp]
		case d.DueAt.IsZero():
			one.State = "waiting"
		default:
			one.State, one.NextTry = outcomes[store.Retry], nanos(d.DueAt)
		}
	}
	answers := make([]messageHookAnswer, 0, len(found))
	for _, one := range found {
		if one.State == outcomes[store.Kept] { // it was delivered since, or replayed and forgotten
			one.State = "waiting"
		}
		answers = append(answers, *one)
	}
	slices.SortFunc(answers, func(x, y messageHookAnswer) int {
		seqX, _ := s.seqOf(x.EventID)
		seqY, _ := s.seqOf(y.EventID)
		return cmp.Or(cmp.Compare(seqX, seqY), cmp.Compare(x.WebhookID, y.WebhookID))
	})
	return reply(w, http.StatusOK, answers)
}

// endpointsOf are those that events of a message may be posted to: the account's, and the one that the message names.
func (s *server) endpointsOf(r *http.Request, a *directory.Account, m *store.Message) (map[int32]*store.Endpoint, error) {
	list, err := s.Webhooks.Endpoints(r.Context(), store.EndpointFilter{AccountID: a.ID})
	if err != nil {
		return nil, err
	}
	if url := m.Content.WebhookEndpoint; url != "" {
		named, err := s.Webhooks.Endpoints(r.Context(), store.EndpointFilter{AccountID: a.ID, Named: true, Search: url})
		if err != nil {
			return nil, err
		}
		for i := range named {
			if named[i].URL == url {
				list = append(list, named[i])
			}
		}
	}
	byID := make(map[int32]*store.Endpoint, len(list))
	for i := range list {
		byID[list[i].ID] = &list[i]
	}
	return byID, nil
}

// noteOf says why nothing is posted to an endpoint now.
func noteOf(e *store.Endpoint) string {
	switch {
	case e.Paused != "":
		return "the webhook is paused: " + e.Paused
	case !e.Enabled:
		return "the webhook is not enabled"
	}
	return ""
}
