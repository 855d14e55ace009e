package sqlite

import "testing"

// Whoever looks for trouble walks through no whole table.
func TestTroublePlans(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for query, want := range map[string]string{
		delaysQuery:  "SEARCH queue USING INDEX queue_due (egress=? AND status=?)",
		lanesQuery:   "SEARCH queue USING COVERING INDEX queue_ready (egress=? AND mailbox=?)",
		classesQuery: "SEARCH attempt USING PRIMARY KEY (message_id>?)",
		failedQuery:  "SEARCH a USING INDEX attempt_failed (egress=? AND finished>?)",
		reachQuery:   "SEARCH attempt USING PRIMARY KEY (message_id>?)",
		garbageQuery: "SCAN garbage",
		foreignQuery: "SEARCH foreign_event USING PRIMARY KEY (tpsp_id=? AND day>?)",
	} {
		rows, err := db.readPool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 1, 1, 1, 1, 1)
		if query == reachQuery {
			rows, err = db.readPool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 1)
		}
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		found := false
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			if found = found || step == want; step == "SCAN queue" || step == "SCAN attempt" || step == "SCAN foreign_event" {
				t.Errorf("%s in %s", step, query)
			}
		}
		if err := rows.Err(); err != nil || !found {
			t.Errorf("no %q in %s (%v)", want, query, err)
		}
		_ = rows.Close()
	}
}
