package provider_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/provider"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	if !provider.Budget(t.Context())() {
		t.Error("without a deadline there is no time")
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		enough := provider.Budget(ctx)
		for _, step := range []struct {
			wait time.Duration
			want bool
		}{{0, true}, {45 * time.Second, true}, {time.Millisecond, false}, {time.Hour, false}} {
			time.Sleep(step.wait)
			if enough() != step.want {
				t.Errorf("%s later: %t", step.wait, !step.want)
			}
		}
	})
}
