package httpcall

import (
	"errors"

	"postyard/internal/provider"
)

// Failure is a call without a whole answer.
type Failure struct {
	Text  string
	Cause error // one that is safe to show, such as the end of the context; nil for none
}

// Error implements error.
func (e *Failure) Error() string { return e.Text }

// Unwrap implements errors.Unwrap.
func (e *Failure) Unwrap() error { return e.Cause }

// Unreadable is a good answer that is not the provider's.
type Unreadable struct {
	Call  string // the path, or the provider's name of the operation
	Whose string // the provider, for people
}

// Error implements error.
func (e *Unreadable) Error() string {
	return "the answer to " + e.Call + " is not " + e.Whose + "'s; is the endpoint right?"
}

// SetupError puts why a set-up step got no answer of the provider's into words for the user.
func SetupError(err error) *provider.SetupError {
	if setting, ok := errors.AsType[*SettingError](err); ok {
		return &provider.SetupError{Code: setting.Code, Field: setting.Field, Message: setting.Text}
	}
	if _, ok := errors.AsType[*Unreadable](err); ok {
		return &provider.SetupError{Code: "unexpected_answer", Field: "endpoint", Message: err.Error()}
	}
	return &provider.SetupError{Code: provider.CodeUnreachable, Message: err.Error(), Retry: true}
}
