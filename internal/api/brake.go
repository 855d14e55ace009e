package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// maxDrill is the longest drill, in seconds: a day.
const maxDrill = 86_400

// drillRequest says how long a drill lasts.
type drillRequest struct {
	Seconds *int `json:"seconds"` // 0 ends it
}

// drillTPSP rehearses an outage of a provider.
func (s *server) drillTPSP(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Providers.TPSP(a.ID, id); err != nil {
		return err // before the body is judged
	}
	length, err := readDrill(w, r)
	if err != nil {
		return err
	}
	t, err := s.Providers.Drill(r.Context(), a.ID, id, length)
	if err != nil {
		return err
	}
	s.Changed()
	answer, err := s.tpspAnswer(t)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// readDrill reads how long a drill lasts; 0 ends it.
func readDrill(w http.ResponseWriter, r *http.Request) (time.Duration, error) {
	var in drillRequest
	if err := decodeBody(w, r, &in); err != nil {
		return 0, err
	}
	switch {
	case in.Seconds == nil:
		return 0, mail.Invalid("missing_seconds", "seconds", "seconds is needed: how long the drill lasts; 0 ends it")
	case *in.Seconds < 0 || *in.Seconds > maxDrill:
		return 0, mail.Invalid("invalid_seconds", "seconds", "seconds is a whole number from 1 to %d, or 0, which ends the drill", maxDrill)
	}
	return time.Duration(*in.Seconds) * time.Second, nil
}

// pausedAnswer tells whether the mail of a sub-account waits. SendPost's SubAccount takes no extra keys.
type pausedAnswer struct {
	ID     int32  `json:"id"`
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

func (s *server) pauseSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return s.setSubAccountPaused(w, r, a, true)
}

func (s *server) resumeSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return s.setSubAccountPaused(w, r, a, false)
}

func (s *server) setSubAccountPaused(w http.ResponseWriter, r *http.Request, a *directory.Account, paused bool) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.PauseSubAccount(r.Context(), a.ID, id, paused)
	if err != nil {
		return err
	}
	s.Changed()
	return reply(w, http.StatusOK, pausedAnswer{ID: sub.ID, Name: sub.Name, Paused: sub.Paused})
}

// cancelRequest says which waiting messages are to be cancelled: those that fit all that is given.
type cancelRequest struct {
	Group        string `json:"group"`
	IPPool       string `json:"ippool"` // by name, as requests name it
	SubAccountID *int32 `json:"subAccountId"`
	DryRun       bool   `json:"dryRun"` // only count
	Next         string `json:"next"`   // from the last answer, to go on
}

// cancelAnswer tells what one request did.
type cancelAnswer struct {
	DryRun    bool   `json:"dryRun"`
	Matched   int64  `json:"matched"`   // found waiting
	Cancelled int64  `json:"cancelled"` // and dropped; the others left meanwhile
	More      bool   `json:"more"`      // the time was over: send the same body again, with next
	Next      string `json:"next"`
}

// cancelled is why a cancelled message was dropped, in its event.
const cancelled = "cancelled by the operator"

// cancelFor is how long a request cancels before it answers; clients and proxies wait longer than that.
const cancelFor = 20 * time.Second

// How many waiting messages one step looks at, and changes in one transaction. Their contents may be large.
const (
	cancelChunk        = 200
	cancelContentChunk = 50
)

func (s *server) cancelMessages(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in cancelRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	c, err := s.cancellation(a, &in)
	if err != nil {
		return err
	}
	end := time.Now().Add(cancelFor)
	answer, err := c.run(r.Context(), func() bool { return time.Now().Before(end) })
	if answer.Cancelled > 0 {
		s.Log.InfoContext(r.Context(), "waiting messages were cancelled", "account", a.ID, "messages", answer.Cancelled, "group", in.Group,
			"ippool", in.IPPool, "subAccount", c.filter.SubAccountID, "requestId", requestID(r.Context()))
	}
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// cancelledAnswer tells whether one message was cancelled.
type cancelledAnswer struct {
	Cancelled bool   `json:"cancelled"` // false: it did not wait any more
	State     string `json:"state"`     // where it stands
}

// cancelMessage drops one message that waits. One that is on the wire, or was sent, stays as it is.
func (s *server) cancelMessage(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	m, err := s.findMessage(r, a)
	if err != nil {
		return err
	}
	n := 0
	if m.State == lifecycle.Queued {
		if n, err = s.Queue.Rearrange(r.Context(), []store.Move{{ID: m.ID, From: m.Egress, Drop: cancelled}}, s.Now()); err != nil {
			return fmt.Errorf("cancel message: %w", err)
		}
		if m, err = s.Journal.Message(r.Context(), a.ID, m.ID); err != nil {
			return err
		}
	}
	if n > 0 {
		s.Log.InfoContext(r.Context(), "a waiting message was cancelled", "account", a.ID, "message", m.ID, "requestId", requestID(r.Context()))
	}
	return reply(w, http.StatusOK, cancelledAnswer{Cancelled: n > 0, State: m.State.String()})
}

// cancellation reads a request. What it names must be there: a slip must not cancel other mail than was meant, nor none.
func (s *server) cancellation(a *directory.Account, in *cancelRequest) (*cancellation, error) {
	pool, now := strings.TrimSpace(in.IPPool), s.Now()
	c := &cancellation{queue: s.Queue, now: s.Now, dry: in.DryRun, group: in.Group, place: place{until: now},
		filter: store.QueuedFilter{AccountID: a.ID, Content: in.Group != ""}}
	if in.Group == "" && pool == "" && in.SubAccountID == nil {
		return nil, mail.Invalid("missing_selector", "group", "say which messages: by group, ippool or subAccountId; several narrow it down")
	}
	if pool != "" {
		found := s.Directory.Current().PoolNamed(a.ID, pool)
		if found == nil {
			return nil, mail.Invalid("unknown_ippool", "ippool", "there is no IP pool named %q in this account", pool)
		}
		c.filter.PoolID = found.ID
	}
	if in.SubAccountID != nil {
		found := s.Directory.Current().SubAccount(a.ID, *in.SubAccountID)
		if found == nil {
			return nil, mail.Invalid("unknown_sub_account", "subAccountId", "there is no sub-account %d in this account", *in.SubAccountID)
		}
		c.filter.SubAccountID = found.ID
	}
	if in.Next != "" {
		var ok bool
		if c.place, ok = parsePlace(in.Next); !ok || c.place.until.After(now) {
			return nil, mail.Invalid("invalid_next", "next", "next is not from an answer to this operation; leave it out to begin anew")
		}
	}
	return c, nil
}

// cancellation drops waiting messages, chunk by chunk, each a transaction of its own: whatever ends it, every message is either
// dropped, with its event, or waits as before. It goes through the queue until a whole pass has dropped nothing, because a
// message that was on the wire may wait again. Messages that were accepted after it began stay.
type cancellation struct {
	queue  Queue
	now    func() time.Time
	filter store.QueuedFilter
	group  string // "": any
	dry    bool
	place  place
}

// place is how far a cancellation has come.
type place struct {
	until time.Time // messages that were accepted later stay
	clean bool      // the present pass has dropped nothing, from the beginning of the queue on
	after mail.ID   // the last message that it looked at
}

// run goes on while there is time; it does one chunk in any case.
func (c *cancellation) run(ctx context.Context, inTime func() bool) (cancelAnswer, error) {
	answer := cancelAnswer{DryRun: c.dry}
	if c.place.after == (mail.ID{}) {
		c.place.clean = true
	}
	for done := false; !done; {
		ended, err := c.step(ctx, &answer)
		if err != nil {
			return answer, err
		}
		switch {
		case ended && (c.dry || c.place.clean):
			done = true
		case ended:
			c.place.clean, c.place.after = true, mail.ID{}
		}
		if !done && !inTime() {
			answer.More, answer.Next = true, c.place.String()
			return answer, nil
		}
	}
	return answer, nil
}

// step looks at a chunk of the queue, and tells whether it was the last one.
func (c *cancellation) step(ctx context.Context, answer *cancelAnswer) (ended bool, err error) {
	chunk := cancelChunk
	if c.filter.Content {
		chunk = cancelContentChunk
	}
	list, last, err := c.queue.Queued(ctx, c.filter, c.place.after, chunk)
	if err != nil {
		return false, fmt.Errorf("look at what waits: %w", err)
	}
	var moves []store.Move
	for i := range list {
		q := &list[i]
		if q.SubmittedAt.After(c.place.until) || c.group != "" && !slices.Contains(q.Content.Groups, c.group) {
			continue
		}
		moves = append(moves, store.Move{ID: q.ID, From: q.Egress, Drop: cancelled})
	}
	c.place.after = last
	answer.Matched += int64(len(moves))
	if len(moves) > 0 && !c.dry {
		n, err := c.queue.Rearrange(ctx, moves, c.now())
		if err != nil {
			return false, fmt.Errorf("cancel messages: %w", err)
		}
		answer.Cancelled += int64(n)
		c.place.clean = false
	}
	return last == (mail.ID{}), nil
}

// String is the place as clients give it back.
func (p place) String() string {
	pass := "d"
	if p.clean {
		pass = "c"
	}
	return strconv.FormatInt(p.until.UnixNano(), 36) + "." + pass + "." + hex.EncodeToString(p.after[:])
}

func parsePlace(text string) (p place, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[1] != "c" && parts[1] != "d" {
		return p, false
	}
	ns, err := strconv.ParseInt(parts[0], 36, 64)
	if err != nil {
		return p, false
	}
	raw, err := hex.DecodeString(parts[2])
	if err != nil || len(raw) != len(p.after) {
		return p, false
	}
	return place{until: time.Unix(0, ns).UTC(), clean: parts[1] == "c", after: mail.ID(raw)}, true
}
