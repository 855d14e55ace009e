package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/books"
	"postyard/internal/config"
	"postyard/internal/dispatch"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/route"
	"postyard/internal/store"
)

// turncoat is Postmark, that accepts mail and does not carry it: where it would report a delivery it takes the message back.
type turncoat struct{ *postmark.Adapter }

func (a turncoat) Parse(h http.Header, body []byte) ([]provider.Report, error) {
	list, err := a.Adapter.Parse(h, body)
	for i := range list {
		if r := &list[i]; r.Kind == event.Delivered {
			r.Kind, r.Refused = event.Dropped, provider.Account
			r.Type, _ = event.TypeOf(event.Postmark, event.Dropped)
			r.Detail.SMTPDescription = "the account is under review"
		}
	}
	return list, err
}

// TestTakenBack has a provider take back what it accepted: the next one carries the message, the account's refusal stops the provider, and
// the explanation tells.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	s := newStage(t, withMail, func(_ *config.Config, s *Server) {
		if s != nil {
			s.adapters[provider.Postmark] = turncoat{s.adapters[provider.Postmark].(*postmark.Adapter)}
		}
	})
	s.account(http.MethodPut, fmt.Sprintf("/api/v1/account/tpsp/%d", s.TPSPID), map[string]any{"allowRaw": true}, nil)
	ip := s.ips()[0].ID
	s.account(http.MethodPost, "/api/v1/account/ippool", map[string]any{"name": "both", "ips": []map[string]string{{"publicIP": DemoIP}},
		"tpsps": []int32{s.TPSPID}, "routingStrategy": 2, "routingMetaData": fmt.Sprintf(`{"TPSP_%d":"100","IP_%d":"0"}`, s.TPSPID, ip), "warmupInterval": 24}, nil)
	id := s.through("both", "ana@gmail.com")
	const words = "the account is under review"
	waitFor(t, "the next egress to have it", func() bool { e := s.explain(id); return len(e.Attempts) == 2 && !pending(e.State) })
	e := s.explain(id)
	if first := e.Attempts[0]; first.Class != "accepted" || first.TakenBack != "account: "+words || e.Attempts[1].TakenBack != "" || !strings.HasPrefix(e.Attempts[1].Egress, "IP_") {
		t.Errorf("%+v", e)
	}
	if types := fmt.Sprint(s.types(id)); !strings.HasPrefix(types, "[69 70 74 ") {
		t.Errorf("events %s", types)
	}
	waitFor(t, "the provider to be stopped", func() bool { return strings.HasPrefix(s.health(), "stopped: taken back by the provider: "+words) })
	s.balanced()
}

func pending(state string) bool { return state == "queued" || state == "sending" || state == "unknown" }

// TestTakenBackForLong has the first of two providers accept mail for hours and take it all back some seconds later, and then carry it
// again. Each message is carried once, and the provider gets no more than the first call's and one message for each trial.
func TestTakenBackForLong(t *testing.T) {
	t.Parallel()
	dug(t, 2, route.Volume, firstThenSecond, provider.Account, func(y *yard, hole *hole) {
		const length = 3 * time.Hour
		for range int(length / (10 * time.Minute)) {
			y.send(40)
			<-time.After(10 * time.Minute)
		}
		hole.fill()
		took := len(hole.taken)
		if most := 40 + len(y.nodes)*20; took > most {
			t.Errorf("the provider got %d messages, %d are enough", took, most)
		}
		for range 20 {
			y.send(1)
			<-time.After(time.Minute)
		}
		if h := y.health(y.houses[0]); h.Stopped {
			t.Errorf("%+v", h)
		}
		carried := y.carried(hole)
		y.wantEachOnce(carried)
		if last := carried[y.last()]; len(last) != 1 || last[0].house != 0 {
			t.Errorf("the provider is not used again: %+v", last)
		}
		y.wantBooks()
	})
}

// TestTakenBackWithoutAnother has the only provider take everything back for an hour, for whatever reason: a message costs it a bounded
// number of tries, and is carried when it can be.
func TestTakenBackWithoutAnother(t *testing.T) {
	t.Parallel()
	for _, why := range []provider.Class{provider.Account, provider.Throttled, provider.Transient} {
		t.Run(why.String(), func(t *testing.T) {
			t.Parallel()
			dug(t, 1, route.RoundRobin, nil, why, func(y *yard, hole *hole) {
				y.send(20)
				<-time.After(time.Hour)
				hole.fill()
				for id, n := range hole.taken {
					if n > 16 {
						t.Errorf("%s was tried %d times in an hour", id, n)
					}
				}
				<-time.After(time.Hour)
				y.wantEachOnce(y.carried(hole))
				y.wantBooks()
			})
		})
	}
}

// hole is Postmark, of which one provider takes back whatever it accepts.
type hole struct {
	*postmark.Adapter
	y     *yard
	house *house
	why   provider.Class

	mu      sync.Mutex
	taken   map[string]int // how often, by message
	filled  bool
	telling sync.WaitGroup
}

// delay is after how long a hole tells.
const delay = 3 * time.Second

// dug runs test on a yard whose first provider is a hole.
func dug(t *testing.T, providers int, strategy route.Strategy, metadata func([]*house) string, why provider.Class, test func(*yard, *hole)) {
	t.Helper()
	var o *hole
	newYard(t, providers, strategy, metadata, func(c *dispatch.Config) {
		o = &hole{Adapter: c.Providers[provider.Postmark].(*postmark.Adapter), why: why, taken: map[string]int{}}
		c.Providers[provider.Postmark] = o
		if providers > 1 {
			c.Poll = 4 * time.Second // a node has to see what another one found out
		}
	}, func(y *yard) {
		o.mu.Lock()
		o.y, o.house = y, y.houses[0]
		o.mu.Unlock()
		test(y, o)
	})
}

func (o *hole) Send(ctx context.Context, conn provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	outcomes := o.Adapter.Send(ctx, conn, batch)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.filled || o.house == nil || conn.TPSPID != o.house.tpsp.ID {
		return outcomes
	}
	for i := range batch {
		if id := batch[i].ID; outcomes[i].Class == provider.Accepted {
			o.taken[id.String()]++
			n, to := o.taken[id.String()], batch[i].Recipient.Email
			o.telling.Go(func() {
				<-time.After(delay)
				o.report(id, to, n)
			})
		}
	}
	return outcomes
}

// fill ends the trouble.
func (o *hole) fill() {
	o.mu.Lock()
	o.filled = true
	o.mu.Unlock()
	o.telling.Wait()
}

// report tells one of the nodes that a message is taken back.
func (o *hole) report(id mail.ID, to string, n int) {
	d := o.y.nodes[n%len(o.y.nodes)].wake.Load()
	typ, _ := event.TypeOf(event.Postmark, event.Dropped)
	_, err := d.Ingest(o.y.Context(), o.y.db, []store.Parsed{{Fresh: true, Sent: 70, Now: time.Now(),
		Receipt: store.Receipt{AccountID: o.y.pool.AccountID, TPSPID: o.house.tpsp.ID, ReceivedAt: time.Now()},
		Reports: []provider.Report{{Kind: event.Dropped, Type: typ, MessageID: id, Recipient: to, OccurredAt: time.Now(),
			Identity: fmt.Sprint(id, n), Refused: o.why, SMTPDescription: "under review"}}}})
	if err != nil {
		o.y.Error(err)
	}
}

// carried are the arrivals without those that were taken back.
func (y *yard) carried(o *hole) map[string][]arrival {
	y.Helper()
	found := y.arrivals()
	for id, n := range o.taken {
		list := found[id]
		for i := 0; i < len(list); i++ {
			if y.houses[list[i].house] == o.house && n > 0 {
				list = append(list[:i], list[i+1:]...)
				i, n = i-1, n-1
			}
		}
		found[id] = list
	}
	return found
}

// last returns the message that was submitted last.
func (y *yard) last() (id string) {
	for one, at := range y.accepted {
		if at.After(y.accepted[id]) {
			id = one
		}
	}
	return id
}

func (y *yard) wantBooks() {
	y.Helper()
	r, err := books.Verify(y.Context(), books.Options{AccountID: y.pool.AccountID, Awaiting: 24 * time.Hour, Now: time.Now}, y.db)
	y.must(err)
	if !r.OK() {
		y.Errorf("%+v", r.Differences)
	}
}
