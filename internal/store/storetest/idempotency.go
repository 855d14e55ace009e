package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/store"
)

// keyed is a submission with a key.
func (b *bench) keyed(key, answer string, to ...string) (store.Submission, []mail.ID) {
	b.t.Helper()
	s, ids := b.submission(to...)
	s.Keep = &store.KeptAnswer{Key: key, Hash: sha256.Sum256([]byte(key)), Answer: []byte(answer)}
	return s, ids
}

func (b *bench) wantKept(sub int32, key string, want *store.KeptAnswer) {
	b.t.Helper()
	got, err := b.store.KeptAnswer(b.ctx(), sub, key, b.now)
	b.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("key %q: %s", key, diff)
	}
}

func keptAnswers(t *testing.T, b *bench) {
	one, ids := b.keyed("one", "answered\x00", "ana@gmail.com")
	two, more := b.keyed("two", "two", "bob@gmail.com")
	plain, _ := b.submission("eve@gmail.com")
	none, _ := b.keyed("nobody", "nobody was written to")
	b.must(b.store.Accept(b.ctx(), []store.Submission{two, plain, one, none}))
	if n := b.backlog(); n != 3 {
		t.Errorf("backlog %d", n)
	}
	b.restart()
	b.wantKept(b.sub.ID, "one", one.Keep)
	b.wantKept(b.sub.ID, "nobody", none.Keep)
	b.wantKept(b.sub.ID, "two", two.Keep)
	b.wantKept(b.sub.ID, "One", nil)
	b.wantKept(b.sub.ID+1, "one", nil)
	b.wantTypes(ids[0], 69)
	b.wantTypes(more[0], 69)

	account, sub := b.newAccount("other")
	same, _ := b.keyed("one", "of another sub-account")
	same.AccountID, same.SubAccountID = account.ID, sub.ID
	b.must(b.store.Accept(b.ctx(), []store.Submission{same}))
	b.wantKept(sub.ID, "one", same.Keep)
	b.wantKept(b.sub.ID, "one", one.Keep)

	// With the messages or not at all.
	lost, ids := b.keyed("lost", "x", "ana@gmail.com")
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, b.tpsp.ID, true, b.now))
	if err := b.store.Accept(b.ctx(), []store.Submission{lost}); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a message to a provider that was deleted: %v", err)
	}
	b.wantKept(b.sub.ID, "lost", nil)
	if _, err := b.store.Message(b.ctx(), b.account.ID, ids[0]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
}

func keyTakenOnce(t *testing.T, b *bench) {
	first, _ := b.keyed("key", "first", "ana@gmail.com")
	b.must(b.store.Accept(b.ctx(), []store.Submission{first}))
	again, ids := b.keyed("key", "again", "ana@gmail.com")
	other, more := b.keyed("other", "other", "bob@gmail.com")
	if err := b.store.Accept(b.ctx(), []store.Submission{other, again}); !errors.Is(err, store.ErrKeyTaken) || errors.Is(err, store.ErrConflict) {
		t.Errorf("the same key again: %v", err)
	}
	b.wantKept(b.sub.ID, "key", first.Keep)
	b.wantKept(b.sub.ID, "other", nil)
	for _, id := range []mail.ID{ids[0], more[0]} {
		if _, err := b.store.Message(b.ctx(), b.account.ID, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a refused batch: %v", err)
		}
	}
	twice := []store.Submission{other, other}
	if err := b.store.Accept(b.ctx(), twice); !errors.Is(err, store.ErrKeyTaken) {
		t.Errorf("a key twice in a batch: %v", err)
	}
	b.wantKept(b.sub.ID, "other", nil)

	// Whoever comes first has it, and everybody else is told.
	const racing = 8
	var running sync.WaitGroup
	errs := make([]error, racing)
	for i := range racing {
		s, _ := b.keyed("raced for", fmt.Sprint(i), "ana@gmail.com")
		running.Go(func() { errs[i] = b.store.Accept(b.ctx(), []store.Submission{s}) })
	}
	running.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case !errors.Is(err, store.ErrKeyTaken):
			t.Errorf("racer %d: %v", i, err)
		}
	}
	b.wantKept(b.sub.ID, "raced for", &store.KeptAnswer{Key: "raced for", Hash: sha256.Sum256([]byte("raced for")), Answer: fmt.Append(nil, won)})
	if n := b.backlog(); n != 2 {
		t.Errorf("%d messages, want that of the first and that of the winner", n)
	}
}

func forgottenAnswers(t *testing.T, b *bench) {
	const many = 501 // more than are forgotten at once
	batch := make([]store.Submission, many)
	for i := range batch {
		batch[i], _ = b.keyed(fmt.Sprint(i), "old")
	}
	b.must(b.store.Accept(b.ctx(), batch))
	b.now = b.now.Add(store.KeepAnswers - time.Nanosecond)
	b.wantKept(b.sub.ID, "7", batch[7].Keep)
	fresh, _ := b.keyed("7", "new")
	if err := b.store.Accept(b.ctx(), []store.Submission{fresh}); !errors.Is(err, store.ErrKeyTaken) {
		t.Errorf("a key that is still kept: %v", err)
	}
	b.now = b.now.Add(time.Nanosecond)
	b.wantKept(b.sub.ID, "7", nil)
	fresh, _ = b.keyed("7", "new")
	b.must(b.store.Accept(b.ctx(), []store.Submission{fresh}))
	b.wantKept(b.sub.ID, "7", fresh.Keep)

	_, _, err := b.store.Expire(b.ctx(), store.Expiry{TTL: time.Hour, Now: b.now, Limit: 1})
	b.must(err)
	b.now = start // nothing is too old by this clock
	for i := range batch {
		if i != 7 {
			b.wantKept(b.sub.ID, fmt.Sprint(i), nil)
		}
	}
	b.wantKept(b.sub.ID, "7", fresh.Keep)
}
