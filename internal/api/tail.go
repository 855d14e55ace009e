package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/store"
)

// How events are followed. Nothing is kept for a client: what it has not read yet is read from the log when it takes it, and one that takes
// nothing for a while is cut.
const (
	tailPage  = 500                    // events that are written at once
	tailEvery = 400 * time.Millisecond // how often the log is looked at
	tailBeat  = 15 * time.Second       // how often a client hears of us while nothing happens, and its key is looked at
	tailWrite = 15 * time.Second       // for which a client may take nothing
	tailRetry = "2000"                 // ms after which a browser comes back
	mostTails = 20                     // streams of one account on this node
	ownTails  = 8                      // of them, those of one member
)

// lastEventHeader is sent by browsers that come back (Server-Sent Events).
const lastEventHeader = "Last-Event-ID"

// tailOperations follow the event log.
func (s *server) tailOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/account/event/stream", accountKey, "follow events as they are recorded (server-sent events)", s.forAccount(s.tailEvents)).
			asks(eventParameters...).asks(parameter{Name: "after", Kind: "string", Summary: "begin after the event with this id; without it, and without the header Last-Event-ID, now"}).
			answers(http.StatusOK, nil).as("text/event-stream"),
	}
}

// tails counts the streams of accounts, and of members.
type tails struct {
	mu   sync.Mutex
	open map[keyOwner]int
}

// begin makes room for a stream; end gives it back. It fails when the account has too many, or the member who asks for it, if one does.
func (t *tails) begin(accountID int32, m *store.Member) (end func(), err error) {
	owners := []keyOwner{{accountKey, accountID}}
	if m != nil {
		owners = append(owners, keyOwner{sessionOwner, m.ID})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range owners {
		who, most := "the account follows its", mostTails
		if o.kind == sessionOwner {
			who, most = "you follow", ownTails
		}
		if t.open[o] >= most {
			return nil, &problem{status: http.StatusTooManyRequests, retryAfter: tailBeat, Code: "too_many_streams",
				Message: who + " events by " + strconv.Itoa(most) + " streams already; close one"}
		}
	}
	if t.open == nil {
		t.open = map[keyOwner]int{}
	}
	for _, o := range owners {
		t.open[o]++
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, o := range owners {
			if t.open[o]--; t.open[o] == 0 {
				delete(t.open, o)
			}
		}
	}, nil
}

func (s *server) tailEvents(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	q := r.URL.Query()
	f, none, err := s.eventFilter(q, a.ID)
	if err != nil {
		return err
	}
	if none {
		f.TPSPIDs = []int32{} // nobody's
	}
	place, err := s.tailFrom(r, q, a.ID)
	if err != nil {
		return err
	}
	end, err := s.tails.begin(a.ID, memberOf(r))
	if err != nil {
		return err
	}
	defer end()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies are to hand it on at once
	h["X-Content-Type-Options"], h["Cache-Control"] = contentTypeOptions, cacheControl
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		s.tail(w, r, f, place)
	}
	return nil
}

// tailFrom tells after which event a stream begins.
func (s *server) tailFrom(r *http.Request, q url.Values, accountID int32) (int64, error) {
	if seq, ok := s.seqOf(r.Header.Get(lastEventHeader)); ok {
		return seq, nil
	}
	if q.Has("after") {
		return s.cursor(q, "after")
	}
	return s.Events.LastEvent(r.Context(), accountID)
}

// tail writes what is recorded until the client, its key or the server ends. The answer has begun, so nothing is refused any more: a client
// that is cut comes back with the id of the last event that it has.
func (s *server) tail(w http.ResponseWriter, r *http.Request, f store.EventFilter, place int64) {
	out := tailWriter{w: w, control: http.NewResponseController(w)}
	if err := out.control.SetReadDeadline(time.Time{}); err != nil { // or the server would take the client for gone
		s.Log.DebugContext(r.Context(), "deadline of a connection not set", "error", err)
	}
	if !out.write([]byte("retry: " + tailRetry + "\nevent: ready\nid: " + s.eventID(place) + "\ndata: {}\n\n")) {
		return
	}
	look, beat := time.NewTicker(tailEvery), time.NewTicker(tailBeat)
	defer look.Stop()
	defer beat.Stop()
	for {
		for more := true; more; {
			var piece []byte
			var err error
			if piece, place, more, err = s.tailPiece(r.Context(), f, place); err != nil {
				s.Log.DebugContext(r.Context(), "a stream of events ends", "requestId", requestID(r.Context()), "error", err)
				return
			}
			if len(piece) > 0 && (!s.followedOn(r) || !out.write(piece)) {
				return
			}
			if stopping(s.Stopping) || r.Context().Err() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.Stopping:
			return
		case <-look.C:
		case <-beat.C:
			if !s.followedOn(r) || !out.write([]byte("id: "+s.eventID(place)+"\n: beat\n\n")) {
				return
			}
		}
	}
}

// followedOn tells whether a stream goes on. It ends also when that is not known: the client comes back, and is let in or refused.
func (s *server) followedOn(r *http.Request) bool {
	letIn, err := s.stillLetIn(r)
	if err != nil {
		s.Log.DebugContext(r.Context(), "a stream of events ends", "requestId", requestID(r.Context()), "error", err)
	}
	return letIn
}

func stopping(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// tailWriter writes to a client that must take it in time.
type tailWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (t *tailWriter) write(piece []byte) bool {
	if t.control.SetWriteDeadline(time.Now().Add(tailWrite)) != nil {
		return false
	}
	if _, err := t.w.Write(piece); err != nil {
		return false
	}
	return t.control.Flush() == nil
}

// tailPiece reads the next events that a filter selects, and the place to go on from; more tells to do so at once.
func (s *server) tailPiece(ctx context.Context, f store.EventFilter, place int64) (piece []byte, next int64, more bool, err error) {
	upTo, err := s.Events.LastEvent(ctx, f.AccountID)
	if err != nil || upTo <= place {
		return nil, place, false, err
	}
	f.After, f.Newest, f.Offset, f.Limit = max(f.After, place), false, 0, tailPage
	end, last, err := s.Events.EventStretch(ctx, store.EventFilter{AccountID: f.AccountID, After: place, Before: upTo + 1}, lookAtOnce)
	if err != nil {
		return nil, place, false, err
	}
	if !last {
		upTo = end
	}
	if f.Before == 0 || f.Before > upTo+1 {
		f.Before = upTo + 1
	}
	events, err := s.Journal.Events(ctx, f)
	if err != nil {
		return nil, place, false, err
	}
	if len(events) == tailPage {
		upTo, last = events[tailPage-1].Seq, false
	}
	var b bytes.Buffer
	for i := range events {
		body, err := json.Marshal(s.eventAnswer(&events[i]))
		if err != nil {
			return nil, place, false, err
		}
		b.WriteString("id: " + s.eventID(events[i].Seq) + "\ndata: ")
		b.Write(body) // JSON has no line ends
		b.WriteString("\n\n")
	}
	return b.Bytes(), upTo, !last, nil
}
