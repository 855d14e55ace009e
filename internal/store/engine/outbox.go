package engine

import (
	"time"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// The states of deliveries. The numbers are stored.
const (
	DeliveryReady   = 0
	DeliveryDelayed = 1
	DeliveryGivenUp = 2
)

// EndpointRow is an endpoint as a statement returns it.
type EndpointRow struct {
	store.Endpoint
	FormerTo, PausedAt, Created, Updated int64
	FailingAt, NextTry, LastAt, WorkedAt int64
}

// EndpointColumns are those of an endpoint, in the order of Into.
const EndpointColumns = `id, account_id, url, named, enabled, kinds, sealed_secret, sealed_former, former_to, paused, paused_at, since, created, updated,
	failures, failing_at, next_try, last_at, last_status, last_error, worked_at`

// Into returns where EndpointColumns go.
func (r *EndpointRow) Into() []any {
	e, s := &r.Endpoint, &r.Standing
	return []any{&e.ID, &e.AccountID, &e.URL, &e.Named, &e.Enabled, &e.Kinds, &e.Secret, &e.Former, &r.FormerTo, &e.Paused, &r.PausedAt, &e.Since,
		&r.Created, &r.Updated, &s.Failures, &r.FailingAt, &r.NextTry, &r.LastAt, &s.LastStatus, &s.LastError, &r.WorkedAt}
}

// Done completes the endpoint after the scan.
func (r *EndpointRow) Done() store.Endpoint {
	e, s := &r.Endpoint, &r.Standing
	e.FormerTo, e.PausedAt, e.Created, e.Updated = Time(r.FormerTo), Time(r.PausedAt), Time(r.Created), Time(r.Updated)
	s.EndpointID, s.FailingAt, s.NextTry, s.LastAt, s.WorkedAt = e.ID, Time(r.FailingAt), Time(r.NextTry), Time(r.LastAt), Time(r.WorkedAt)
	if len(e.Former) == 0 {
		e.Former = nil
	}
	return *e
}

// OutEventRow is an event as a statement returns it; the message is missing when it was removed since.
type OutEventRow struct {
	store.OutEvent
	Class                         int
	Occurred, Recorded, Submitted int64
	Gone                          bool
}

// Done completes the event after the scan.
func (r *OutEventRow) Done() (store.OutEvent, error) {
	var err error
	e := &r.OutEvent
	e.OccurredAt, e.RecordedAt, e.SubmittedAt = Time(r.Occurred), Time(r.Recorded), Time(r.Submitted)
	e.Mailbox, err = mailbox.ByID(r.Class)
	return *e, err
}

// Outbound makes a page of rows.
func Outbound(rows []OutEventRow, revision, after int64, limit int) (o store.Outbound, err error) {
	o = store.Outbound{Revision: revision, Last: after, More: len(rows) >= limit, Events: make([]store.OutEvent, 0, len(rows))}
	for i := range rows {
		o.Last, o.LastAt = rows[i].Seq, Time(rows[i].Occurred)
		if rows[i].Gone {
			continue
		}
		e, err := rows[i].Done()
		if err != nil {
			return o, err
		}
		o.Events = append(o.Events, e)
	}
	return o, nil
}

// OutContent decodes a stored content and leaves out what is not told of.
func OutContent(body []byte) (*mail.Content, error) {
	c, err := mail.DecodeContent(body)
	if err != nil {
		return nil, err
	}
	c.PreText, c.HTML, c.Text, c.AMP, c.Attachments = "", "", "", "", nil
	return c, nil
}

// DeliveryRow is a delivery as a statement returns it.
type DeliveryRow struct {
	store.Delivery
	Due int64
}

// Done completes the delivery after the scan.
func (r *DeliveryRow) Done() store.Delivery {
	r.DueAt = Time(r.Due)
	return r.Delivery
}

// StandingRow is a delivery that is not done as a statement returns it: endpoint_id, seq, state, calls, tries, due_at.
type StandingRow struct {
	DeliveryRow
	state int
}

// Into returns where the columns go.
func (r *StandingRow) Into() []any {
	return []any{&r.EndpointID, &r.Seq, &r.state, &r.Calls, &r.Tries, &r.Due}
}

// Done completes the delivery after the scan.
func (r *StandingRow) Done() store.StandingDelivery {
	return store.StandingDelivery{Delivery: r.DeliveryRow.Done(), GivenUp: r.state == givenUp}
}

// givenUp is the state of a delivery that was given up.
const givenUp = 2

// Standing makes a count of the rows' sums; oldest is of an event.
func Standing(waiting, givenUp, oldest int64) store.DeliveryCount {
	return store.DeliveryCount{Waiting: waiting, GivenUp: givenUp, Oldest: Time(oldest)}
}

// TryRow is a try as a statement returns it.
type TryRow struct {
	store.Try
	Began, Lasted int64
}

// Done completes the try after the scan.
func (r *TryRow) Done() store.Try {
	r.At, r.Took = Time(r.Began), time.Duration(r.Lasted)
	return r.Try
}
