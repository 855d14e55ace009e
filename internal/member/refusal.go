package member

import (
	"errors"
	"net/http"
	"time"
)

// Refusal is how an error of this package is answered over HTTP.
type Refusal struct {
	Status     int
	Code       string // stable, snake_case
	Message    string // for people
	Field      string // the field or header to blame, "" when none is
	RetryAfter time.Duration
}

var refusals = []struct {
	err    error
	status int
	code   string
	field  string
}{
	{ErrSignedOut, http.StatusUnauthorized, "signed_out", ""},
	{ErrCredentials, http.StatusUnauthorized, "wrong_credentials", ""},
	{ErrForged, http.StatusForbidden, "csrf", CSRFHeader},
	{ErrAccountKey, http.StatusUnauthorized, "invalid_api_key", "accountKey"},
	{ErrSetUp, http.StatusConflict, "already_set_up", ""},
	{ErrEmailTaken, http.StatusForbidden, "email_taken", "email"},
	{ErrInvitation, http.StatusNotFound, "invalid_invitation", "token"},
	{ErrNotFound, http.StatusNotFound, "not_found", ""},
	{ErrLastOwner, http.StatusConflict, "last_owner", ""},
}

// RefusalOf says how an error of this package is answered. It is false for errors of others.
func RefusalOf(err error) (Refusal, bool) {
	if e, ok := errors.AsType[*TriesError](err); ok {
		return Refusal{Status: http.StatusTooManyRequests, Code: "too_many_tries", Message: e.Reason, RetryAfter: e.RetryAfter}, true
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return Refusal{Status: r.status, Code: r.code, Message: r.err.Error(), Field: r.field}, true
		}
	}
	return Refusal{}, false
}
