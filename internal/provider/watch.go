package provider

import (
	"context"
	"errors"
	"time"
)

// Watch follows a Send while it is under way, and has the last word before anything leaves. The caller puts it into the
// context. An adapter calls Leaving and Answered; where nobody watches, they do nothing.
type Watch struct {
	Until time.Time        // nothing may leave from then on
	Now   func() time.Time // the clock of Until
	Asked func()           // a part of a request leaves: from now on an answer is owed
	Heard func()           // the first byte of the answer is here
}

// ErrLate is why nothing leaves when the time of a call is over.
var ErrLate = errors.New("not sent: the time for the call was over before it could be made")

type watchKey struct{}

// WithWatch has a Send under ctx watched.
func WithWatch(ctx context.Context, w Watch) context.Context {
	w.Until = w.Until.Round(0)
	return context.WithValue(ctx, watchKey{}, &w)
}

// Leaving is called immediately before a part of a request goes to the wire. With an error nothing may: the process may have
// stood still for so long that its claim on the messages is over, and somebody else has taken them. That is judged by the
// wall clock, because the clock of timers stands still while a machine is suspended.
func Leaving(ctx context.Context) error {
	w, ok := ctx.Value(watchKey{}).(*Watch)
	if !ok {
		return nil
	}
	if !w.Now().Round(0).Before(w.Until) {
		return ErrLate
	}
	w.Asked()
	return nil
}

// Answered is called when the first byte of an answer arrives.
func Answered(ctx context.Context) {
	if w, ok := ctx.Value(watchKey{}).(*Watch); ok {
		w.Heard()
	}
}
