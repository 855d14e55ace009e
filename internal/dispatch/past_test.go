package dispatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

// streams is an adapter that is asked stream by stream.
type streams struct {
	postmark
	at func(stream string, ids []mail.ID) ([]provider.Found, error)
}

func (s streams) Lookup(_ context.Context, conn provider.Connection, ids []mail.ID, _ time.Time) ([]provider.Found, error) {
	return s.at(conn.Stream, ids)
}

// byStream opens a TPSP's connection with its stream.
type byStream struct{}

func (byStream) Connection(t *directory.TPSP) (provider.Connection, error) {
	return provider.Connection{TPSPID: t.ID, Stream: t.Stream}, nil
}

// A message in doubt that went out before its provider's key or stream was changed is asked for at the old connection as well. It is
// sent again only when all deny it.
func TestDoubtOutlivesAMove(t *testing.T) {
	t.Parallel()
	away := errors.New("the old key was revoked")
	found := func(ids []mail.ID) (list []provider.Found, err error) {
		for _, id := range ids {
			list = append(list, provider.Found{ID: id, ProviderMessageID: "pm"})
		}
		return list, nil
	}
	for name, c := range map[string]struct {
		switched time.Duration // after the messages went out
		old      func([]mail.ID) ([]provider.Found, error)
		within   time.Duration
		resent   int
		asked    bool // at the old connection
	}{
		"it has it":             {time.Minute, found, time.Hour, 0, true},
		"it denies it":          {time.Minute, nothing, 5 * time.Minute, 2, true},
		"it cannot be asked":    {time.Minute, func([]mail.ID) ([]provider.Found, error) { return nil, away }, 14 * time.Minute, 0, true},
		"the policy decides":    {time.Minute, func([]mail.ID) ([]provider.Found, error) { return nil, away }, 20 * time.Minute, 2, true},
		"replaced long before":  {-time.Hour, found, 5 * time.Minute, 2, false},
		"another node was late": {-time.Minute, found, time.Hour, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				began := time.Now()
				q.doubt(2)
				for i := range q.unknown {
					q.unknown[i].SentAt, q.unknown[i].Content = began, &mail.Content{}
				}
				q.alter = func(p *directory.TPSP) {
					p.Stream = "new"
					p.Past = []directory.PastHook{{Stream: "old", Switched: began.Add(c.switched)}}
				}
				asked, resent := map[string]int{}, 0
				_, stop := dispatcherWith(t, q, streams{at: func(stream string, ids []mail.ID) ([]provider.Found, error) {
					asked[stream]++
					if stream == "old" {
						return c.old(ids)
					}
					return nil, nil
				}, postmark: postmark{lookup: nothing, sender: sender{send: func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
					resent += len(batch)
					return make([]provider.Outcome, len(batch)) // accepted
				}}}}, byStream{}, 2)
				<-time.After(c.within)
				synctest.Wait()
				stop()
				if resent != c.resent || (asked["old"] > 0) != c.asked || asked["new"] == 0 {
					t.Errorf("%d sent again, asked %v: %q", resent, asked, q.log())
				}
			})
		})
	}
}

// Only what may have gone out there is asked for at a past connection, and what it cannot say keeps nothing else in doubt.
func TestOnlyOlderMessagesAreAskedForThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		switched := time.Now().Add(-10 * time.Minute)
		q.doubt(3)
		for i, sent := range []time.Time{switched.Add(-time.Minute), switched.Add(9 * time.Minute), switched.Add(-time.Hour)} {
			q.unknown[i].SentAt = sent
		}
		older := []mail.ID{q.unknown[0].ID, q.unknown[2].ID}
		q.alter = func(p *directory.TPSP) {
			p.Stream = "new"
			p.Past = []directory.PastHook{{Stream: "oldest", Switched: switched.Add(-30 * time.Minute)}, {Stream: "old", Switched: switched}}
		}
		asked := map[string][]mail.ID{}
		_, stop := dispatcherWith(t, q, streams{at: func(stream string, ids []mail.ID) ([]provider.Found, error) {
			if asked[stream] == nil {
				asked[stream] = ids
			}
			if stream == "old" {
				return []provider.Found{{ID: older[0]}}, errors.New("half an answer")
			}
			return nil, nil
		}, postmark: postmark{lookup: nothing}}, byStream{}, 2)
		<-time.After(time.Second)
		synctest.Wait()
		stop()
		if diff := cmp.Diff(map[string][]mail.ID{"new": {older[0], q.unknown[0].ID, older[1]}, "old": older, "oldest": older[1:]}, asked); diff != "" {
			t.Error(diff)
		}
	})
}
