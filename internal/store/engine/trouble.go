package engine

import (
	"time"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// TimeOfID returns when a message was accepted, to the millisecond: its id, a UUIDv7, begins with it.
func TimeOfID(id mail.ID) time.Time {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

// DelayRow is a group of waiting messages as a statement returns it.
type DelayRow struct {
	store.Delay
	Status     Status
	Class      int
	First, End int64 // due
}

// Delays completes groups that were read, and tells whether one kind of them reached the limit.
func Delays(rows []DelayRow, limit int) (groups []store.Delay, more bool, err error) {
	total := map[Status]int64{}
	for i := range rows {
		r := &rows[i]
		if r.Mailbox, err = mailbox.ByID(r.Class); err != nil {
			return nil, false, err
		}
		r.State, r.Since, r.DueFirst, r.DueLast = r.Status.State(), TimeOfID(r.Oldest), Time(r.First), Time(r.End)
		if total[r.Status] += r.N; total[r.Status] >= int64(limit) {
			more = true
		}
		groups = append(groups, r.Delay)
	}
	return groups, more, nil
}

// LaneDelays completes groups that were read of every lane, and says in which lanes more wait.
func LaneDelays(rows []DelayRow, limit int) (store.LaneDelays, error) {
	groups, _, err := Delays(rows, limit)
	if err != nil {
		return store.LaneDelays{}, err
	}
	l := store.LaneDelays{Groups: groups, More: map[mailbox.Class]bool{}}
	due, later := map[mailbox.Class]int64{}, map[Status]int64{}
	for i := range rows {
		r := &rows[i]
		if r.Status == Ready {
			due[r.Mailbox] += r.N
		} else {
			later[r.Status] += r.N
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.Status == Ready && due[r.Mailbox] >= int64(limit) || r.Status != Ready && later[r.Status] >= int64(limit) {
			l.More[r.Mailbox] = true
		}
	}
	return l, nil
}

// Outcomes sums attempts up by their class.
func Outcomes(f *store.Failures, class provider.Class, n int64, last time.Time) {
	if last.After(f.Last) {
		f.Last = last
	}
	if class == provider.Accepted {
		return
	}
	if f.Classes == nil {
		f.Classes = map[string]int64{}
	}
	f.Classes[class.String()] += n
}
