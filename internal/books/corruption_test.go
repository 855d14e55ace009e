package books

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// Where a message of the first account is found that a corruption is about.
const (
	anySent     = `SELECT id FROM message m WHERE account_id = 1 AND state = 3 AND mark = 0 AND attempts = 1 AND (SELECT count(*) FROM event WHERE message_id = m.id) = 2`
	anyLabelled = `SELECT id FROM message m WHERE account_id = 1 AND labels <> x'' AND state = 3 AND (SELECT count(*) FROM event WHERE message_id = m.id) = 2`
	anyDone     = `SELECT id FROM message m WHERE account_id = 1 AND state = 4 AND (SELECT count(*) FROM event WHERE message_id = m.id AND effect = 6) = 1`
	anyQueued   = `SELECT id FROM queue WHERE status IN (0, 1) AND attempts > 0 AND id IN (SELECT id FROM message WHERE account_id = 1 AND mark = 0)`
	anyDrop     = `SELECT id FROM message WHERE account_id = 1 AND state = 6`
	anyOpened   = `SELECT id FROM message m WHERE account_id = 1 AND engaged & 1`
	anyOpen     = `SELECT id FROM queue WHERE status = 2 AND id IN (SELECT id FROM message WHERE account_id = 1)`
)

// TestCorruption edits the database of a store behind its back and expects to be told what, and of which message.
func TestCorruption(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	both := &sender{}
	one, two := newOffice(t, db, both, "one", 4), newOffice(t, db, both, "two", 5)
	for range 300 {
		one.step()
		two.step()
	}
	one.accept(9, one.egress)
	one.claimed = nil
	for len(one.claimed) == 0 {
		one.claim(one.egress[0])
	}
	again := &one.claimed[0] // one that waits and has been tried; another one stays on the wire
	one.settle(store.Settlement{Job: &again.Job, Owner: again.owner, Trigger: lifecycle.Requeue, Egress: one.egress[0], DueAt: one.now.Add(time.Hour),
		Outcome: &provider.Outcome{Class: provider.Throttled}})
	if r := one.verify(); !r.OK() {
		t.Fatalf("%q", lines(r))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "postyard.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		of     string // finds the message
		change string
		want   string // the kinds of differences
	}{
		"state":                    {anySent, `UPDATE message SET state = 4 WHERE id = ?1`, "state"},
		"state of a delivery":      {anyDone, `UPDATE message SET state = 3 WHERE id = ?1`, "state"},
		"pending state":            {anyQueued, `UPDATE message SET state = 3 WHERE id = ?1`, "queue"},
		"queue row gone":           {anyQueued, `DELETE FROM queue WHERE id = ?1`, "attempts queue"},
		"queue row too many":       {anySent, `INSERT INTO queue (id, egress, mailbox, status, rank, attempts) SELECT id, egress, mailbox, 0, 1, attempts FROM message WHERE id = ?1`, "queue state"},
		"claim without a call":     {anyQueued, `UPDATE queue SET status = 2 WHERE id = ?1`, "attempts"},
		"claim undone":             {anyOpen, `UPDATE queue SET status = 0 WHERE id = ?1`, "attempts"},
		"call closed":              {anyOpen, `UPDATE attempt SET finished = began + 1 WHERE message_id = ?1 AND finished = 0`, "attempts"},
		"call opened":              {anySent, `UPDATE attempt SET finished = 0, class = 0 WHERE message_id = ?1`, "attempts proof"},
		"attempt gone":             {anySent, `DELETE FROM attempt WHERE message_id = ?1`, "attempts proof"},
		"attempts counted":         {anySent, `UPDATE message SET attempts = attempts + 1 WHERE id = ?1`, "attempts"},
		"attempts in queue":        {anyQueued, `UPDATE queue SET attempts = attempts - 1 WHERE id = ?1`, "attempts"},
		"acceptance":               {anySent, `UPDATE attempt SET class = 6 WHERE message_id = ?1 AND class = 0`, "proof"},
		"end before the beginning": {anySent, `UPDATE attempt SET finished = began - 86400000000000 WHERE message_id = ?1`, "attempts"},
		"mark":                     {anyQueued, `UPDATE message SET mark = 2 WHERE id = ?1`, "mark"},
		"delivery gone":            {anyDone, `DELETE FROM event WHERE message_id = ?1 AND effect = 6`, "counter facet state"},
		"sent event gone":          {anySent, `DELETE FROM event WHERE message_id = ?1 AND effect = 2`, "counter events facet state"},
		"sent event twice": {anySent, `INSERT INTO event (account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, is_copy, recipient, occurred_at, recorded_at, detail, effect)
			SELECT account_id, sub_account_id, message_id, pool_id, egress, type, mailbox, is_copy, recipient, occurred_at, recorded_at, detail, effect FROM event WHERE message_id = ?1 AND effect = 2`, "counter events"},
		"drop of another type":   {anyDrop, `UPDATE event SET type = 75 WHERE message_id = ?1 AND type IN (1, 35, 74)`, "counter events facet unique"},
		"effect":                 {anySent, `UPDATE event SET effect = 6 WHERE message_id = ?1 AND effect = 2`, "events state"},
		"event of a copy":        {anySent, `UPDATE event SET is_copy = 1 WHERE message_id = ?1 AND effect = 2`, "counter events"},
		"event of another day":   {anySent, `UPDATE event SET occurred_at = occurred_at + 86400000000000 WHERE message_id = ?1 AND effect = 0`, "counter facet"},
		"event before 1970":      {anySent, `UPDATE event SET occurred_at = -5 WHERE message_id = ?1 AND effect = 0`, "counter facet"},
		"event of a sub-account": {anySent, `UPDATE event SET sub_account_id = 999 WHERE message_id = ?1 AND effect = 0`, "counter facet label"},
		"event of an account":    {anySent, `UPDATE event SET account_id = 2 WHERE message_id = ?1 AND effect = 0`, "counter facet owner"},
		"event of no message":    {anySent, `UPDATE event SET message_id = x'00' WHERE message_id = ?1 AND effect = 0`, "events facet owner"},
		"message gone":           {anySent, `DELETE FROM message WHERE id = ?1`, "facet owner"},
		"message of an account":  {anySent, `UPDATE message SET account_id = 2 WHERE id = ?1`, "owner"},
		"counter too high":       {"", `UPDATE counter SET n = n + 1 WHERE account_id = 1 AND type = 71`, "counter"},
		"counters gone":          {"", `DELETE FROM counter WHERE account_id = 1 AND type = 69`, "counter"},
		"counter of nothing":     {"", `INSERT INTO counter VALUES (1, -9, 1, 1, 0, 70, 0, 1, 0)`, "counter"},
		"facet too high":         {"", `UPDATE facet SET n = n + 1 WHERE account_id = 1 AND dimension = 1`, "facet"},
		"facets gone":            {"", `DELETE FROM facet WHERE account_id = 1 AND dimension = 5`, "facet"},
		"facet of nothing":       {"", `INSERT INTO facet VALUES (1, 3, -9, 'x', 1, 1, 0, 72, 1, 0, 0)`, "facet"},
		"facets elsewhere":       {"", `UPDATE facet SET value = 'example.net' WHERE account_id = 1 AND dimension = 2`, "facet"},
		"firsts of a facet":      {"", `UPDATE facet SET firsts = firsts + 1 WHERE account_id = 1 AND dimension = 4`, "facet"},
		"time to deliver":        {"", `UPDATE facet SET total = total + 1 WHERE account_id = 1 AND dimension = 8`, "facet"},
		"span of a delivery":     {anyDone, `UPDATE event SET marks = 1 WHERE message_id = ?1 AND effect = 6`, "facet"},
		"failover too many":      {"", `UPDATE facet SET n = n + 1 WHERE account_id = 1 AND dimension = 9`, "facet"},
		"failover forgotten":     {"", `UPDATE event SET detail = CAST('{}' AS BLOB) WHERE account_id = 1 AND CAST(detail AS TEXT) LIKE '{"insteadOf"%'`, "facet"},
		"failover from another":  {anySent, `UPDATE event SET detail = CAST('{"insteadOf":99}' AS BLOB) WHERE message_id = ?1 AND effect = 2`, "facet"},
		"firsts of a counter":    {"", `UPDATE counter SET firsts = firsts + 1 WHERE account_id = 1 AND type = 75 AND is_copy = 0`, "unique"},
		"firsts of copies":       {"", `UPDATE counter SET firsts = 1 WHERE account_id = 1 AND is_copy = 1`, "unique"},
		"engaged":                {anySent, `UPDATE message SET engaged = 2 WHERE id = ?1`, "unique"},
		"first open is none":     {anyOpened, `UPDATE event SET marks = marks - 2 WHERE message_id = ?1 AND marks & 2`, "facet unique"},
		"event without facets":   {anyLabelled, `UPDATE event SET marks = marks - 1 WHERE message_id = ?1 AND effect = 2 AND is_copy = 0`, "facet"},
		"processed, no facets":   {anyLabelled, `UPDATE event SET marks = 0 WHERE message_id = ?1 AND effect = 0`, "facet"},
		"labels gone":            {anyLabelled, `UPDATE message SET labels = x'' WHERE id = ?1`, "facet"},
		"labels unreadable":      {anyLabelled, `UPDATE message SET labels = x'ff' WHERE id = ?1`, "facet"},
		"another label":          {anyLabelled, `UPDATE message SET labels = x'000178' WHERE id = ?1`, "facet label"},
		"label gone":             {"", `DELETE FROM label WHERE account_id = 1 AND name = 'trial'`, "label"},
		"label of nothing":       {"", `INSERT INTO label VALUES (1, -9, 1, 1, 'x')`, "label"},
		"time of a message":      {anyDone, `UPDATE message SET submitted_at = submitted_at - 700000000000000 WHERE id = ?1`, "facet"},
		"detail of an open":      {anyOpened, `UPDATE event SET detail = CAST('{' AS BLOB) WHERE message_id = ?1 AND type = 75`, "facet"},
		"counters elsewhere":     {"", `UPDATE counter SET mailbox = 26 WHERE account_id = 1 AND type = 70 AND mailbox = 0`, "counter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, id := corrupt(t, whole, test.of, test.change, one.account)
			var kinds []string
			named, aboutDays := false, true
			for _, d := range r.Differences {
				kinds = append(kinds, string(d.Kind))
				named = named || d.Message == id
				aboutDays = aboutDays && !d.Day.IsZero()
			}
			slices.Sort(kinds)
			if diff := cmp.Diff(strings.Fields(test.want), slices.Compact(kinds)); diff != "" || !named && !aboutDays {
				t.Errorf("message %s, named %t: %s\n%s", id, named, diff, strings.Join(lines(r), "\n"))
			}
		})
	}
}

// corrupt changes a copy of the database and verifies it.
func corrupt(t *testing.T, whole []byte, of, change string, account int32) (*Report, mail.ID) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "postyard.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	var id []byte
	if of != "" {
		if err := raw.QueryRowContext(t.Context(), of+" ORDER BY id LIMIT 1").Scan(&id); err != nil {
			t.Fatalf("%s: %v", of, err)
		}
	}
	args := []any{id}
	if of == "" {
		args = nil
	}
	res, err := raw.ExecContext(t.Context(), change, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("nothing changed (%v)", err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	defer func() { _ = db.Close() }()
	r, err := Verify(t.Context(), Options{AccountID: account, Awaiting: time.Hour, Now: time.Now}, db)
	if err != nil {
		t.Fatal(err)
	}
	if of == "" {
		return r, mail.ID{}
	}
	return r, mail.ID(id)
}
