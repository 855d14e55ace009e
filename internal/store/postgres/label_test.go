package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/store"
	"postyard/internal/store/storetest"
)

// TestLabelsOfNodes: nodes that take mail of one sub-account at once decide alike which names are counted on their own, and
// keep the cap together.
func TestLabelsOfNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*DB{w.db, open(t, w.url, "two"), open(t, w.url, "three")}
	var running sync.WaitGroup
	const rounds, each = 9, 50 // of 1350 names, most of which two nodes come with
	for k, db := range nodes {
		running.Go(func() {
			for i := range rounds {
				batch, _ := w.submissions(2)
				for j := range batch {
					for n := range each {
						batch[j].Groups = append(batch[j].Groups, fmt.Sprintf("g%d", (i*len(nodes)+k)*each+n+j*each/2))
					}
				}
				if err := db.Accept(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	now := time.Now()
	sums, err := w.db.Stats(t.Context(), store.StatFilter{AccountID: w.account.ID, Dimension: store.DimensionGroup, By: store.ByValue, From: now.AddDate(0, 0, -1), To: now,
		Types: []event.Type{69}, Limit: 5000})
	w.must(err)
	names, other := 0, int64(0)
	for _, s := range sums {
		if s.Value == store.OtherValue {
			other = s.N
		} else {
			names++
		}
	}
	if names != store.MaxLabels || other == 0 {
		t.Errorf("%d names, %d messages with others", names, other)
	}
	w.must(storetest.CheckBooks(t.Context(), w.db, w.account.ID))
}
