package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"postyard/internal/mail"
)

// pathID returns the number in the path; an id that no int32 can hold, or that is none, is an unknown one (404).
func pathID(r *http.Request) (int32, error) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 32)
	if err != nil || id <= 0 {
		return 0, notFound("ids are whole numbers from 1 to 2147483647; there is nothing under this one")
	}
	return int32(id), nil
}

// messageID reads a message's id.
func messageID(s string) (mail.ID, bool) {
	const length = 36 // uuid.Parse knows more spellings than we give out
	id, err := uuid.Parse(s)
	return id, err == nil && len(s) == length
}

// page is the part of a list that a request asks for.
type page struct {
	limit  int // 0: all
	offset int
	search string
}

// listPage reads limit, offset and search, all optional.
func listPage(q url.Values) (p page, err error) {
	if p.limit, err = wholeNumber(q, "limit", 0, 1, maxOffset); err != nil {
		return p, err
	}
	if p.offset, err = wholeNumber(q, "offset", 0, 0, maxOffset); err != nil {
		return p, err
	}
	p.search = strings.TrimSpace(q.Get("search"))
	return p, nil
}

// maxOffset is the most items that a list skips or shows.
const maxOffset = 1 << 31

// cut returns the page of a list.
func cut[T any](all []T, p page) []T {
	all = all[min(p.offset, len(all)):]
	if p.limit > 0 {
		all = all[:min(p.limit, len(all))]
	}
	return all
}

// wholeNumber reads a parameter that may be absent.
func wholeNumber(q url.Values, name string, absent, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, badParameter(name, "must be a whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return n, nil
}

// optionalID reads an id that may be absent (0).
func optionalID(q url.Values, name string) (int32, error) {
	n, err := wholeNumber(q, name, 0, 1, 1<<31-1)
	return int32(n), err
}

// truth reads a parameter that is true or false; absent is false.
func truth(q url.Values, name string) (bool, error) {
	text := q.Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, badParameter(name, "must be true or false")
	}
	return value, nil
}

// day reads a date (CL-10) as the moment at which it begins, in UTC. Of an instant, as clients write theirs that have no type for dates (a Date of
// JavaScript, a DateTime of PHP), the date counts as it is written.
func day(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, badParameter(name, "is required, as YYYY-MM-DD")
	}
	at, err := time.Parse(time.DateOnly, text)
	if err == nil {
		return at, nil
	}
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, badParameter(name, "must be a date, as YYYY-MM-DD")
	}
	year, month, dayOfMonth := instant.Date()
	return time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC), nil
}

// days reads from and to, both included, over at most that many days (ST-1).
func days(q url.Values, most int) (from, to time.Time, err error) {
	if from, err = day(q, "from"); err != nil {
		return from, to, err
	}
	if to, err = day(q, "to"); err != nil {
		return from, to, err
	}
	switch n := int(to.Sub(from)/(24*time.Hour)) + 1; {
	case n < 1:
		return from, to, badParameter("from", "must not be after to")
	case n > most:
		return from, to, badParameter("to", "the range has "+strconv.Itoa(n)+" days; the most is "+strconv.Itoa(most))
	}
	return from, to, nil
}

// deletion reads what a DELETE names, and whether it is to be done although something still depends on it.
func deletion(r *http.Request) (id int32, force bool, err error) {
	if id, err = pathID(r); err == nil {
		force, err = truth(r.URL.Query(), "force")
	}
	return id, force, err
}
