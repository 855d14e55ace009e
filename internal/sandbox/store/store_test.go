package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/sandbox/store"
)

var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// A search gives what a walk over all mails gives, whatever keys, bounds, order and page it asks for.
func TestFindIsAWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		now := start
		s := store.Memory(func() time.Time { return now })
		type kept struct {
			id   string
			keys []string
			at   time.Time
		}
		var all []kept
		for i := range rapid.IntRange(0, 120).Draw(r, "mails") {
			now = now.Add(time.Duration(rapid.IntRange(-1, 2).Draw(r, "step")) * time.Second)
			keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4).Draw(r, "keys")
			mails, err := s.Add([]store.New{{ID: fmt.Sprint(i), Keys: keys}})
			if err != nil {
				r.Fatal(err)
			}
			all = append(all, kept{mails[0].ID, keys, mails[0].ReceivedAt})
		}
		q := store.Query{Keys: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "zz"}), 0, 3).Draw(r, "wanted"),
			Newest: rapid.Bool().Draw(r, "newest"), Offset: rapid.IntRange(-1, 20).Draw(r, "offset"), Limit: rapid.IntRange(0, 50).Draw(r, "limit")}
		if rapid.Bool().Draw(r, "bounded") {
			q.Since = start.Add(time.Duration(rapid.IntRange(-5, 60).Draw(r, "since")) * time.Second)
			q.Until = start.Add(time.Duration(rapid.IntRange(-5, 60).Draw(r, "until")) * time.Second)
		}
		if rapid.Bool().Draw(r, "matched") {
			q.Match = func(m *store.Mail, _ []store.Event) bool { return m.Seq%2 == 0 }
		}
		var want []string
		for i, k := range all {
			has := func(key string) bool { return slices.Contains(k.keys, key) }
			if !slices.ContainsFunc(q.Keys, func(key string) bool { return !has(key) }) &&
				(q.Since.IsZero() || !k.at.Before(q.Since) && !k.at.After(q.Until)) && (q.Match == nil || i%2 == 0) {
				want = append(want, k.id)
			}
		}
		total := len(want)
		if q.Newest {
			slices.Reverse(want)
		}
		want = want[min(max(q.Offset, 0), len(want)):]
		want = want[:min(q.Limit, len(want))]
		gotTotal, page := s.Find(q)
		got := make([]string, len(page))
		for i, m := range page {
			got[i] = m.ID
		}
		if gotTotal != total || !slices.Equal(got, want) {
			r.Fatalf("%+v: %d %v, want %d %v", q, gotTotal, got, total, want)
		}
	})
}

// recorder restores what it is told and remembers it.
type recorder struct {
	documents map[string]string
	events    int
}

func (c *recorder) RestoreDocument(kind, id string, value json.RawMessage) error {
	c.documents[kind+"/"+id] = string(value)
	return nil
}

func (c *recorder) RestoreMail(mail *store.Mail, raw json.RawMessage) (store.Content, []string, error) {
	return text(raw), []string{"key " + mail.ID}, nil
}

func (c *recorder) RestoreEvents(_ *store.Mail, events []store.Event) { c.events += len(events) }

// text is content that is its own raw bytes.
type text string

func (t text) View() store.View            { return store.View{Text: string(t)} }
func (t text) Metadata() map[string]string { return nil }

func hook(id string, value any) store.Document {
	return store.Document{Provider: "p", Kind: "hook", ID: id, Value: value}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal"
	now := func() time.Time { return start }
	open := func() (*store.Store, *recorder) {
		c := &recorder{documents: map[string]string{}}
		s, err := store.Open(path, now, map[string]store.Restorer{"p": c})
		if err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	s, _ := open()
	mails, err := s.Add([]store.New{{ID: "one", Provider: "p", Server: "s", Stream: "x", Raw: json.RawMessage("{\n \"a\": 1\n}"), Content: text("")},
		{ID: "two", Provider: "p", Raw: json.RawMessage(`"2"`), Content: text("")}})
	if err != nil {
		t.Fatal(err)
	}
	raised, err := s.Raise([]store.Raised{{Mail: mails[0], Events: []store.Event{
		{Kind: store.Delivered, Recipient: "r", At: start, Pending: []int{1, 2}}, {Kind: store.Opened, At: start, Pending: []int{1}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Done(mails[0], raised[0].Events[0].Seq, 1); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.Put(hook("1", 5)), s.Put(hook("2", 6)), s.Delete(hook("1", nil))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add([]store.New{{ID: "late", Provider: "p", Raw: json.RawMessage(`1`)}}); err == nil || s.Len() != 2 {
		t.Error("a mail that could not be journaled was accepted")
	}

	s, c := open()
	one, ok := s.Get("one")
	if !ok || one.Server != "s" || one.Stream != "x" || !one.ReceivedAt.Equal(start) || one.Content.View().Text != `{"a":1}` {
		t.Fatalf("%+v", one)
	}
	events := s.Events(one)
	if len(events) != 2 || !slices.Equal(events[0].Pending, []int{2}) || !slices.Equal(events[1].Pending, []int{1}) || c.events != 2 {
		t.Errorf("%+v", events)
	}
	if c.documents["hook/1"] != "" || c.documents["hook/2"] != "6" {
		t.Errorf("%v", c.documents)
	}
	if total, _ := s.Find(store.Query{Keys: []string{"key two"}}); total != 1 {
		t.Error("keys are not restored")
	}
	more, err := s.Raise([]store.Raised{{Mail: one, Events: []store.Event{{Kind: store.Clicked}}}})
	if err != nil || more[0].Events[0].Seq <= events[1].Seq {
		t.Errorf("%+v %v", more, err)
	}
	if err := s.Reset([]store.Document{hook("3", 7)}); err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Raise([]store.Raised{{Mail: one, Events: []store.Event{{Kind: store.Opened}}}}); err != nil || len(gone) != 0 {
		t.Errorf("events of a mail that a reset removed: %v %v", gone, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, c = open(); s.Len() != 0 || len(c.documents) != 1 || c.documents["hook/3"] != "7" {
		t.Errorf("%d mails and %v after a reset", s.Len(), c.documents)
	}
}

// Any bytes in the journal are an error or are read; none panic.
func FuzzRestore(f *testing.F) {
	f.Add(`{"mails":[{"id":"a","provider":"p","at":1,"raw":{}}]}`)
	f.Add(`{"raised":[{"mail":0,"events":[{"seq":1}]}]}`)
	f.Add(`{"done":{"mail":-1}}`)
	f.Add(`{"put":{"provider":"x"}}`)
	f.Fuzz(func(t *testing.T, line string) {
		s := store.Memory(time.Now)
		err := s.Restore([]byte(line), map[string]store.Restorer{"p": &recorder{documents: map[string]string{}}})
		_ = err // either is fine
	})
}
