package sqlite

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/route"
	"postyard/internal/store"
)

// TestPlans asks SQLite how it runs the statements of the hot path: none may walk through a whole table or sort one. SQLite
// silently passes over a partial index whose condition it cannot prove, so this cannot be seen from the results.
func TestPlans(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// Run what prepares the statements on the writer.
	now := time.Now()
	claim := store.Claim{Egress: 1, Limit: 1, Owner: "o", Now: now, LeaseUntil: now}
	if _, err := db.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ClaimUnknown(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Rearrange(t.Context(), []store.Move{{ID: mail.ID{1}, From: 1, To: 2, Plan: &route.Plan{}}, {ID: mail.ID{1}, From: 1, Drop: "x"}}, now); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Expire(t.Context(), store.Expiry{Now: now, Limit: 1}); err != nil {
		t.Fatal(err)
	}
	one := store.DeliveryKey{EndpointID: 1, Seq: 1}
	if err := db.Enqueue(t.Context(), 0, 0, []store.DeliveryKey{one}); err != nil {
		t.Fatal(err)
	}
	tries := []store.Try{{DeliveryKey: one}, {DeliveryKey: store.DeliveryKey{EndpointID: 1, Seq: 2}, Fate: store.Retry}}
	if err := db.RecordTries(t.Context(), tries, []store.EndpointStanding{{EndpointID: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.RequeueMissing(t.Context(), 1, now, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SweepOutbox(t.Context(), now, 1); err != nil {
		t.Fatal(err)
	}
	queries := []string{
		outboundQuery, outboundOfQuery, outEventsQuery(9), outContentsQuery(9), readyQuery, delayedQuery,
		nextDueQuery, oldQuery, awaitingQuery, entriesQuery, callsQuery(500), entryEventsQuery(500), countedQuery, tallyQuery, nextDayQuery,
		messagesEndQuery, pendingEndQuery, sentToEndQuery, headsQuery(9), lastEventsQuery(9), standingQuery(3, 9),
		releasedQuery, holdsQuery, subHoldsQuery, namedQuery, formerQuery, callQuery, whitherQuery, firstsQuery, labelsQuery, facetsQuery, facetEventsQuery,
	}
	for _, f := range []store.StatFilter{{AccountID: 1}, {AccountID: 1, By: store.ByMailbox, Egress: 1}, {AccountID: 1, Dimension: store.DimensionReason, By: store.ByValue},
		{AccountID: 1, Dimension: store.DimensionGroup, Value: "g", By: store.ByDay, SubAccountID: 1}, {AccountID: 1, By: store.ByDay, SubAccountID: 1, Under: []int32{2}}} {
		query, _ := statQuery(&f)
		lanes, _ := laneQuery(&f)
		queries = append(queries, query, lanes)
	}
	for _, b := range []*bulk{messagesByID, receiptsByID, moves[lifecycle.Delivered], engagedBy[store.EngagedOpened], heldRows, suppressionRows, deliveryRows, requeuedRows, deliveredRows} {
		queries = append(queries, b.queries[:]...)
	}
	for query := range db.writer.stmts {
		queries = append(queries, query)
	}
	for _, f := range []store.EventFilter{
		{AccountID: 1}, {AccountID: 1, After: 7}, {AccountID: 1, Before: 7, Newest: true}, {AccountID: 1, MessageID: mail.ID{1}},
		{AccountID: 1, Types: nil, TPSPIDs: []int32{1}}, {AccountID: 1, Search: "x", After: 7, Before: 9, From: now, To: now, Types: []event.Type{1}, Newest: true}, {AccountID: 1, Recipient: "a@b.example"},
		{AccountID: 1, Mailbox: "gmail", After: 7}, {AccountID: 1, Group: "g", After: 7, Before: 9, Newest: true}, {AccountID: 1, Domain: "d", After: 7, Before: 9}, {AccountID: 1, First: true, From: now, To: now},
		{AccountID: 1, Values: map[store.Dimension]string{store.DimensionReason: "x"}, From: now, To: now, Before: 9, Newest: true},
	} {
		query, _ := eventQuery(f)
		queries = append(queries, query)
		if len(f.Values) > 0 {
			where, _ := eventConditions(f)
			queries = append(queries, candidatesQuery(eventsBy(&f, false)+` WHERE `+where+` ORDER BY e.seq DESC`), keptQuery(9, `page.seq DESC`))
		}
	}
	for _, f := range []store.EventFilter{{AccountID: 1}, {AccountID: 1, Types: []event.Type{1}, From: now, To: now, Search: "x"}, {AccountID: 1, MessageID: mail.ID{1}},
		{AccountID: 1, Recipient: "a@b.example"}} {
		counted, _ := countedEventsQuery(&f)
		stretch, _ := stretchQuery(&f, 7)
		queries = append(queries, counted, stretch, lastEventQuery, pieceEndQuery)
		where, args, _, _, err := db.pieceInTime(t.Context(), &f, store.TallyPlace{}, 7)
		if err != nil {
			t.Fatal(err)
		}
		piece, _ := piecesQuery(&f, where, args, 7)
		for _, step := range plan(t, db, piece) { // the events of one recipient are sorted
			if strings.Contains(step, "SCAN e") || f.Recipient == "" && f.MessageID == (mail.ID{}) && bad.MatchString(step) {
				t.Errorf("%s\n%s", step, piece)
			}
		}
	}
	for _, f := range []store.MessageFilter{{AccountID: 1}, {AccountID: 1, ID: mail.ID{1}}, {AccountID: 1, Recipient: "a@b.example"}, {AccountID: 1, From: now, To: now},
		{AccountID: 1, States: []lifecycle.State{lifecycle.Queued}}, {AccountID: 1, States: []lifecycle.State{lifecycle.Sent}},
		{AccountID: 1, Choices: []store.MessageChoice{{Field: store.FieldMailbox, Numbers: []int32{1}}, {Field: store.FieldTo, Texts: []store.Text{{Value: "x"}}}}}} {
		query, _ := foundQuery(&f, store.MessagePlace{}, store.MessagePlace{}, 7)
		queries = append(queries, query)
	}
	for _, step := range plan(t, db, triesOfQuery(3, 9)) { // few are sorted
		if strings.Contains(step, "SCAN") {
			t.Errorf("%s\n%s", step, triesOfQuery(3, 9))
		}
	}
	for _, query := range queries {
		for _, step := range plan(t, db, query) {
			if bad.MatchString(step) {
				t.Errorf("%s\n%s", step, query)
			}
		}
	}
	if len(queries) < 10 {
		t.Errorf("only %d statements were looked at", len(queries))
	}
}

// bad are steps that touch every row.
var bad = regexp.MustCompile(`SCAN (queue|q|message|m|event|e|content|attempt|a|receipt|counter|facet|label|suppression|s|suppression_mirror|delivery|endpoint|hold|sub_hold)\b|USE TEMP B-TREE FOR ORDER BY`)

// highest is the highest number of a numbered placeholder.
func highest(query string) (n int) {
	for i := range 10 {
		if strings.Contains(query, fmt.Sprint("?", i)) {
			n = i
		}
	}
	return n
}

func plan(t *testing.T, db *DB, query string) (steps []string) {
	t.Helper()
	// Placeholders without values are NULL, which is all that a plan needs.
	args := make([]any, strings.Count(query, "?"))
	if strings.Contains(query, "?1") {
		args = args[:highest(query)]
	}
	rows, err := db.readPool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
