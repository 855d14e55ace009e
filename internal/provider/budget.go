package provider

import (
	"context"
	"time"
)

// Budget tells whether another of several calls, one after the other, may begin within one Send: while a quarter of the time is left that
// the context has now. A call that the end of the context cuts off ends in doubt, and what is in doubt may be sent twice. Without a
// deadline every call may begin.
func Budget(ctx context.Context) (enough func() bool) {
	end, ok := ctx.Deadline()
	if !ok {
		return func() bool { return true }
	}
	reserve := time.Until(end) / 4
	return func() bool { return time.Until(end) >= reserve }
}

// NoTime is what becomes of a message for which no call may begin any more, see [Budget].
func NoTime() Outcome {
	return Outcome{Class: Transient, Unsent: true, Text: "not sent: too little of the call's time was left; it leaves with the next one"}
}
