package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/store"
	"postyard/internal/store/engine"
)

// mostBytes bounds the contents that one claim takes into memory. What exceeds it goes back to the queue.
const mostBytes = 64 << 20

// filled reads the messages of claimed jobs and returns those that can be worked on. It does so after the claim: what it
// reads does not change while the claim lasts. It goes on when ctx ends, because the claim stands. Nothing of the rest was on
// the wire, so its claims are simply undone.
func (db *DB) filled(ctx context.Context, jobs []store.Job, c store.Claim) ([]store.Job, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	ctx = context.WithoutCancel(ctx)
	f := filling{jobs: jobs, places: make(map[mail.ID]int, len(jobs)), broken: map[mail.ID]error{}}
	for i := range jobs {
		f.places[jobs[i].ID] = i
		f.broken[jobs[i].ID] = errMissing
	}
	err := db.fill(ctx, &f)
	var good []store.Job
	var back []*store.Job
	for i := range jobs {
		if err == nil && jobs[i].Content != nil {
			good = append(good, jobs[i])
		} else {
			back = append(back, &jobs[i])
		}
	}
	if len(back) == 0 {
		return good, nil
	}
	if err != nil { // half an answer is none: everything goes back as it was
		f.broken = nil
	}
	undone := db.undo(ctx, back, c, f.broken)
	if len(good) > 0 {
		return good, nil // claims that could not be undone end with their lease
	}
	return nil, errors.Join(err, undone)
}

// filling is the reading of claimed messages under way.
type filling struct {
	jobs     []store.Job
	places   map[mail.ID]int   // in jobs
	broken   map[mail.ID]error // those that cannot be read
	contents map[mail.ID]*sharing
	large    []*sharing // contents that are read apart
	left     int        // bytes
}

// sharing is a content and the jobs that have it.
type sharing struct {
	id      mail.ID
	content *mail.Content
	broken  error
	within  bool // what a claim may take
	jobs    []int
}

func (db *DB) fill(ctx context.Context, f *filling) error {
	if err := db.fillMessages(ctx, f); err != nil {
		return err
	}
	return db.fillContents(ctx, f)
}

// smallContent is how large a content may be to come with every message that has it.
const smallContent = 16 << 10

const fillQuery = `SELECT m.id, m.account_id, m.sub_account_id, m.mailbox, m.recipient, m.plan, m.submitted_at, m.content_id,
		octet_length(c.body), CASE WHEN octet_length(c.body) <= $2 THEN c.body END
	FROM unnest($1::uuid[]) WITH ORDINALITY AS want (id, place) JOIN message m ON m.id = want.id JOIN content c ON c.id = m.content_id
	ORDER BY want.place`

// fillMessages reads all but large contents.
func (db *DB) fillMessages(ctx context.Context, f *filling) error {
	ids := column(f.jobs, func(j *store.Job) pgtype.UUID { return uuidOf(j.ID) })
	return read(ctx, db.work, "read claimed messages", func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, fillQuery, ids, smallContent)
		if err != nil {
			return err
		}
		f.left, f.large, f.contents = db.claimBytes, nil, map[mail.ID]*sharing{}
		return scanAll(rows, f.next)
	})
}

// next reads one message into its job.
func (f *filling) next(rows pgx.Rows) error {
	var id, content mail.ID
	var class, size int
	var account, sub int32
	var submitted int64
	var recipient, plan, body pgtype.DriverBytes // the connection's own buffers: they are decoded before the next row comes
	if err := rows.Scan(idInto(&id), &account, &sub, &class, &recipient, &plan, &submitted, idInto(&content), &size, &body); err != nil {
		return err
	}
	i := f.places[id]
	j := &f.jobs[i]
	j.AccountID, j.SubAccountID, j.SubmittedAt = account, sub, engine.Time(submitted)
	f.broken[id] = decodeJob(j, class, recipient, plan)
	if f.broken[id] == nil {
		f.share(i, content, size, body)
	}
	return nil
}

// share gives a job its content, or has it read later.
func (f *filling) share(i int, content mail.ID, size int, body []byte) {
	j := &f.jobs[i]
	s := f.contents[content]
	if s == nil {
		s = &sharing{id: content, within: f.left > 0}
		f.contents[content] = s
		f.left -= size
		switch {
		case !s.within: // the rest comes with the next claim
		case body == nil:
			f.large = append(f.large, s)
		default:
			s.content, s.broken = engine.Content(body)
		}
	}
	s.jobs = append(s.jobs, i)
	j.Content, f.broken[j.ID] = s.content, s.broken
}

func decodeJob(j *store.Job, class int, recipient, plan []byte) (err error) {
	if j.Mailbox, err = mailbox.ByID(class); err != nil {
		return err
	}
	return errors.Join(mail.DecodeRecipient(recipient, &j.Recipient), engine.DecodePlan(plan, &j.Plan))
}

// fillContents reads the large contents, each once.
func (db *DB) fillContents(ctx context.Context, f *filling) error {
	if len(f.large) == 0 {
		return nil
	}
	ids := column(f.large, func(s **sharing) pgtype.UUID { return uuidOf((*s).id) })
	bodies := make(map[mail.ID][]byte, len(f.large))
	err := read(ctx, db.work, "read claimed contents", func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT id, body FROM content WHERE id = ANY ($1)`, ids)
		if err != nil {
			return err
		}
		return scanAll(rows, func(rows pgx.Rows) error {
			var id mail.ID
			var body []byte
			err := rows.Scan(idInto(&id), &body)
			bodies[id] = body
			return err
		})
	})
	if err != nil {
		return err
	}
	for id, body := range bodies { // now that the database need not wait any more
		content, err := engine.Content(body)
		for _, i := range f.contents[id].jobs {
			f.jobs[i].Content, f.broken[f.jobs[i].ID] = content, err
		}
	}
	return nil
}
