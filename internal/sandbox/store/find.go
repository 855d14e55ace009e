package store

import (
	"iter"
	"slices"
	"sort"
	"time"
)

// Query selects mails. The zero Query selects all, oldest first, but returns none of them: Limit says how many.
type Query struct {
	// Keys must all be among the mail's keys.
	Keys []string
	// Since and Until bound ReceivedAt, both inclusive; zero is no bound.
	Since, Until time.Time
	// Match, when set, decides about what is left. It is called with the store locked and may not call it or change anything.
	Match func(*Mail, []Event) bool
	// Newest asks for the newest first.
	Newest        bool
	Offset, Limit int
}

// Find returns the total number of mails selected and the page that the query asks for.
func (s *Store) Find(q Query) (total int, page []*Mail) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	low, high := s.bounds(q)
	if len(q.Keys) == 0 && q.Match == nil {
		return s.slice(q, low, high)
	}
	hits := s.hits(q.Keys, low, high)
	if q.Match != nil {
		hits = slices.DeleteFunc(slices.Clone(hits), func(seq int32) bool { return !q.Match(s.mails[seq], s.mails[seq].events) })
	}
	for i := range window(len(hits), q) {
		page = append(page, s.mails[hits[i]])
	}
	return len(hits), page
}

// slice pages through everything between two positions without building a list of it.
func (s *Store) slice(q Query, low, high int) (total int, page []*Mail) {
	for i := range window(high-low, q) {
		page = append(page, s.mails[low+i])
	}
	return high - low, page
}

// window yields the indexes of a list of n that the query's page holds.
func window(n int, q Query) iter.Seq[int] {
	return func(yield func(int) bool) {
		for k := max(q.Offset, 0); k < n && k-max(q.Offset, 0) < q.Limit; k++ {
			i := k
			if q.Newest {
				i = n - 1 - k
			}
			if !yield(i) {
				return
			}
		}
	}
}

// bounds turns times into positions; ReceivedAt grows with the position.
func (s *Store) bounds(q Query) (low, high int) {
	low, high = 0, len(s.mails)
	if !q.Since.IsZero() {
		low = sort.Search(len(s.mails), func(i int) bool { return !s.mails[i].ReceivedAt.Before(q.Since) })
	}
	if !q.Until.IsZero() {
		high = sort.Search(len(s.mails), func(i int) bool { return s.mails[i].ReceivedAt.After(q.Until) })
	}
	return low, max(low, high)
}

// hits returns the positions in [low, high) whose mails have all the keys. The result may share memory with the index.
func (s *Store) hits(keys []string, low, high int) []int32 {
	if len(keys) == 0 {
		all := make([]int32, 0, high-low)
		for seq := low; seq < high; seq++ {
			all = append(all, int32(seq))
		}
		return all
	}
	lists := make([][]int32, len(keys))
	for i, key := range keys {
		lists[i] = cut(s.index[key], low, high)
	}
	slices.SortFunc(lists, func(a, b []int32) int { return len(a) - len(b) })
	hits := lists[0]
	for _, list := range lists[1:] {
		hits = intersect(hits, list)
	}
	return hits
}

func cut(list []int32, low, high int) []int32 {
	from, _ := slices.BinarySearch(list, int32(low))
	to, _ := slices.BinarySearch(list, int32(high))
	return list[from:to]
}

// intersect finds the members of a short sorted list in a long one, by search when it is much shorter, else by merging.
func intersect(short, long []int32) []int32 {
	common := make([]int32, 0, len(short))
	if len(short)*16 < len(long) {
		for _, seq := range short {
			if _, found := slices.BinarySearch(long, seq); found {
				common = append(common, seq)
			}
		}
		return common
	}
	for i, j := 0, 0; i < len(short) && j < len(long); {
		switch {
		case short[i] < long[j]:
			i++
		case short[i] > long[j]:
			j++
		default:
			common = append(common, short[i])
			i, j = i+1, j+1
		}
	}
	return common
}

// Get returns a mail by the provider's id.
func (s *Store) Get(id string) (*Mail, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	mail, ok := s.byID[id]
	return mail, ok
}

// Len returns the number of mails.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.mails)
}

// Events returns the events of a mail in the order they were raised. The caller must not change them.
func (s *Store) Events(mail *Mail) []Event {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(mail.events)
}

// All returns every mail, oldest first, as of now.
func (s *Store) All() []*Mail {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mails)
}
