package limit

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// Whoever takes what Room gives never takes more than the limit in any 60 minutes and the length of a claim, and gets a permit when
// it was promised.
func TestRoom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		claim := time.Duration(rapid.IntRange(0, 120).Draw(t, "claim")) * time.Second
		perHour := rapid.IntRange(1, 20).Draw(t, "limit")
		now := began.Add(time.Duration(rapid.Int64Range(0, int64(Span)).Draw(t, "begin")))
		var taken []Use
		var times []time.Time
		take := func(n int) {
			if n == 0 {
				return
			}
			span := SpanOf(now)
			if i := slices.IndexFunc(taken, func(u Use) bool { return u.Span == span }); i >= 0 {
				taken[i].N += n
			} else {
				taken = append(taken, Use{span, n})
			}
			for range n {
				times = append(times, now)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			room, free := Room(perHour, taken, now, claim)
			if room < 0 || room > perHour || (room == 0) == free.IsZero() {
				t.Fatalf("room %d of %d until %s", room, perHour, free)
			}
			if room == 0 && rapid.Bool().Draw(t, "wait for it") {
				if !free.After(now) || free.After(now.Add(Hour+claim+Span)) {
					t.Fatalf("the next permit comes at %s, it is %s", free, now)
				}
				if before, _ := Room(perHour, taken, free.Add(-1), claim); before != 0 {
					t.Fatalf("a permit was free before %s", free)
				}
				now = free
				if room, _ = Room(perHour, taken, now, claim); room == 0 {
					t.Fatalf("no permit at %s", free)
				}
			}
			take(rapid.IntRange(0, room).Draw(t, "take"))
			used := 0
			for _, at := range times {
				if at.After(now.Add(-Hour - claim)) {
					used++
				}
			}
			if used > perHour {
				t.Fatalf("%d taken by %s, the limit is %d", used, now, perHour)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "pass")))
		}
	})
}

// A limit that was lowered below what is taken lets nothing go until enough of it is past.
func TestALoweredLimit(t *testing.T) {
	t.Parallel()
	taken := []Use{{SpanOf(began), 10}, {SpanOf(began.Add(30 * time.Minute)), 10}}
	now := began.Add(40 * time.Minute)
	room, free := Room(12, taken, now, time.Minute)
	if want := began.Add(Hour + time.Minute + Span); room != 0 || !free.Equal(want) {
		t.Errorf("room %d until %s, want none until %s", room, free, want)
	}
	room, free = Room(5, taken, now, time.Minute)
	if want := began.Add(30*time.Minute + Hour + time.Minute + Span); room != 0 || !free.Equal(want) {
		t.Errorf("room %d until %s, want none until %s", room, free, want)
	}
	if room, _ := Room(5, taken, now.Add(2*time.Hour), time.Minute); room != 5 {
		t.Errorf("room %d when all is past", room)
	}
}
