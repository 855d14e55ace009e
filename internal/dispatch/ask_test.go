package dispatch

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

// doubt puts messages into the queue whose outcome is unknown since now.
func (q *queue) doubt(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		j := *job(1, 0)
		binary.BigEndian.PutUint64(j.ID[8:], uint64(len(q.unknown)+1))
		j.UnknownSince, q.due[j.ID] = time.Now(), time.Now()
		q.unknown = append(q.unknown, j)
	}
}

// questions records what a provider was asked, and how much of it at a time.
type questions struct {
	mu          sync.Mutex
	sizes       []int
	times       []time.Duration
	now, most   int
	seen        map[mail.ID]bool
	overlapping bool
}

func (q *questions) begin(began time.Time, ids []mail.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sizes = append(q.sizes, len(ids))
	q.times = append(q.times, time.Since(began).Truncate(time.Second))
	q.now++
	q.most = max(q.most, q.now)
	for _, id := range ids {
		q.overlapping = q.overlapping || q.seen[id]
		q.seen[id] = true
	}
}

func (q *questions) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.now--
}

// Thousands of messages in doubt are asked for in a few questions at a time, each message in one of them.
func TestSeveralQuestionsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, asked, began := newQueue(), &questions{seen: map[mail.ID]bool{}}, time.Now()
		q.doubt(2300)
		stop := dispatching(t, q, postmark{lookup: func(ids []mail.ID) (found []provider.Found, _ error) {
			asked.begin(began, ids)
			defer asked.end()
			<-time.After(2 * time.Second)
			for _, id := range ids {
				found = append(found, provider.Found{ID: id, ProviderMessageID: "pm"})
			}
			return found, nil
		}})
		<-time.After(5 * time.Second)
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]int{500, 500, 500, 500, 300}, asked.sizes); diff != "" || asked.most != maxQuestions || asked.overlapping {
			t.Errorf("%d at a time, overlapping: %t, sizes:\n%s", asked.most, asked.overlapping, diff)
		}
		if log := q.log(); len(log) != 2300 || slices.ContainsFunc(log, func(s string) bool { return s != "accept with 70" }) {
			t.Errorf("%d settled", len(log))
		}
	})
}

// A provider that cannot answer is left alone for a while, and then gets one question at a time.
func TestAnUnansweredQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, asked, began := newQueue(), &questions{seen: map[mail.ID]bool{}}, time.Now()
		q.doubt(2300)
		stop := dispatching(t, q, postmark{lookup: func(ids []mail.ID) ([]provider.Found, error) {
			asked.begin(began, ids)
			defer asked.end()
			<-time.After(time.Second)
			return nil, errors.New("HTTP 503")
		}})
		<-time.After(35 * time.Second)
		synctest.Wait()
		stop()
		// The first four were on their way before any failed.
		if diff := cmp.Diff([]time.Duration{0, 0, 0, 0, 11 * time.Second, 22 * time.Second, 33 * time.Second}, asked.times); diff != "" {
			t.Errorf("asked:\n%s", diff)
		}
	})
}

// A provider that cannot answer about many messages at a time is asked about fewer, until all are answered.
func TestQuestionsGetSmaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 60
		q, asked, began := newQueue(), &questions{seen: map[mail.ID]bool{}}, time.Now()
		q.doubt(1000)
		stop := dispatching(t, q, postmark{lookup: func(ids []mail.ID) (found []provider.Found, _ error) {
			asked.begin(began, ids)
			defer asked.end()
			if <-time.After(time.Second); len(ids) > most {
				return nil, errors.New("no time left")
			}
			for _, id := range ids {
				found = append(found, provider.Found{ID: id, ProviderMessageID: "pm"})
			}
			return found, nil
		}})
		<-time.After(3 * time.Minute)
		synctest.Wait()
		stop()
		failed := 0
		for _, size := range asked.sizes {
			if size > most {
				failed++
			}
		}
		answered := len(slices.DeleteFunc(q.log(), func(s string) bool { return s != "accept with 70" }))
		if answered != 1000 || failed > 12 {
			t.Errorf("%d of 1000 answered, %d questions in vain: %v", answered, failed, asked.sizes)
		}
	})
}
