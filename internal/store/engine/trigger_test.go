package engine

import (
	"testing"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
)

// What a report about the message's own recipient means for the state, and that one about a copy means nothing but that the provider has it.
func TestTriggerOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		report provider.Report
		want   lifecycle.Trigger
	}{
		{provider.Report{Kind: event.Sent}, lifecycle.Accept},
		{provider.Report{Kind: event.Delivered}, lifecycle.Deliver},
		{provider.Report{Kind: event.HardBounced}, lifecycle.Bounce},
		{provider.Report{Kind: event.SoftBounced, Final: true}, lifecycle.Bounce},
		{provider.Report{Kind: event.SoftBounced}, lifecycle.Accept},
		{provider.Report{Kind: event.Deferred}, lifecycle.Accept},
		{provider.Report{Kind: event.Dropped}, lifecycle.Drop},
		{provider.Report{Kind: event.RenderingFailure}, lifecycle.Drop},
		{provider.Report{Kind: event.Dropped, Refused: provider.Account}, lifecycle.Requeue},
		{provider.Report{Kind: event.Dropped, Refused: provider.Throttled}, lifecycle.Requeue},
		{provider.Report{Kind: event.Dropped, Refused: provider.Transient}, lifecycle.Requeue},
		{provider.Report{Kind: event.Opened}, lifecycle.Accept},
		{provider.Report{Kind: event.Spam}, lifecycle.Accept},
	} {
		if got := TriggerOf(&tc.report, false); got != tc.want {
			t.Errorf("%+v: %v, want %v", tc.report, got, tc.want)
		}
		if got := TriggerOf(&tc.report, true); got != lifecycle.Accept {
			t.Errorf("a copy, %+v: %v", tc.report, got)
		}
	}
}
