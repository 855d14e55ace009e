package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/strictjson"
)

// maxAdvance is how far one request moves the clock.
const maxAdvance = 366 * 24 * time.Hour

// clockView is the clock in the control API.
type clockView struct {
	Now  time.Time `json:"now"`
	Held bool      `json:"held"`
	// OffsetMS is how far it is from the machine's clock, in milliseconds; negative is behind.
	OffsetMS int64 `json:"offsetMs"`
	// NextDue is when the next delivery event or webhook retry is due; null when none waits.
	NextDue *time.Time `json:"nextDue"`
}

// clockRoutes hold, advance and release the clock (PM-sim 40).
func (b *Sandbox) clockRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/clock", b.getClock)
	mux.HandleFunc("PUT /sandbox/clock", b.putClock)
	mux.HandleFunc("POST /sandbox/clock/advance", b.advanceClock)
}

func (b *Sandbox) getClock(w http.ResponseWriter, _ *http.Request) {
	view := clockView{Now: b.clock.Now()}
	if steered, ok := b.clock.(*clock.Steered); ok {
		var offset time.Duration
		view.Held, offset = steered.Held()
		view.OffsetMS = offset.Milliseconds()
	}
	for _, next := range []func() (time.Time, bool){b.timetable.Next, b.hooks.Next} {
		if due, ok := next(); ok && (view.NextDue == nil || due.Before(*view.NextDue)) {
			view.NextDue = &due
		}
	}
	b.reply(w, http.StatusOK, view)
}

// steered returns the clock, or refuses: a program that brought its own clock moves it by itself.
func (b *Sandbox) steered(w http.ResponseWriter) (*clock.Steered, bool) {
	steered, ok := b.clock.(*clock.Steered)
	if !ok {
		b.refuse(w, http.StatusConflict, errors.New("the clock belongs to the program that runs this sandbox"))
	}
	return steered, ok
}

// putClock holds or releases the clock and moves it to a time, in this order: first held, then moved; first moved, then released.
func (b *Sandbox) putClock(w http.ResponseWriter, r *http.Request) {
	steered, ok := b.steered(w)
	if !ok {
		return
	}
	var wish struct {
		Held *bool      `json:"held"`
		Now  *time.Time `json:"now"`
	}
	raw, err := controlBody(w, r)
	if err == nil {
		err = strictjson.Decode(raw, &wish)
	}
	if err != nil {
		b.refuse(w, http.StatusBadRequest, fmt.Errorf("the body must be a JSON object with held, now, or both: %w", err))
		return
	}
	if wish.Now != nil {
		if err := steered.CanReach(*wish.Now); err != nil { // before it is held: who is refused has changed nothing
			b.refuseMove(w, steered, err)
			return
		}
	}
	if wish.Held != nil && *wish.Held {
		steered.Hold()
	}
	if wish.Now != nil {
		if err := steered.AdvanceTo(wish.Now.UTC()); err != nil {
			b.refuseMove(w, steered, err)
			return
		}
	}
	if wish.Held != nil && !*wish.Held {
		steered.Release()
	}
	b.getClock(w, r)
}

func (b *Sandbox) refuseMove(w http.ResponseWriter, steered *clock.Steered, err error) {
	b.refuse(w, http.StatusBadRequest, fmt.Errorf("%w: it is %s; a reset sets it to the machine's time", err,
		steered.Now().Format(time.RFC3339Nano)))
}

func (b *Sandbox) advanceClock(w http.ResponseWriter, r *http.Request) {
	steered, ok := b.steered(w)
	if !ok {
		return
	}
	var wish struct {
		MS int64 `json:"ms"`
	}
	raw, err := controlBody(w, r)
	if err == nil {
		err = strictjson.Decode(raw, &wish)
	}
	if err == nil && (wish.MS < 1 || wish.MS > maxAdvance.Milliseconds()) {
		err = fmt.Errorf("ms must be from 1 to %d, got %d", maxAdvance.Milliseconds(), wish.MS)
	}
	if err != nil {
		b.refuse(w, http.StatusBadRequest, fmt.Errorf("the body must be a JSON object with ms: %w", err))
		return
	}
	if err := steered.Advance(time.Duration(wish.MS) * time.Millisecond); err != nil {
		b.refuseMove(w, steered, err)
		return
	}
	b.getClock(w, r)
}
