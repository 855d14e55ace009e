package accept

import (
	"time"

	"postyard/internal/mail"
)

// Request is a send as every intake hands it over, whatever its wire format was.
type Request struct {
	Content    mail.Content // Content.Pool is the pool's name, "" for the default route
	Recipients []mail.Recipient
	Stored     *Stored // nil: the content stands for itself
	Strict     bool    // a recipient that breaks a rule refuses the request; otherwise only that one gets no message
}

// Code is SendPost's errorCode of one recipient.
type Code int

// The codes. A recipient with a code other than Accepted gets no message; the others of the request do.
const (
	Accepted            Code = 0
	InvalidAddress      Code = 1
	InvalidCustomFields Code = 2
)

// Result is the answer for one entry of `to`, in the request's order.
type Result struct {
	To          string // as the request had it
	ID          mail.ID
	SubmittedAt time.Time
	Code        Code
	Message     string // why, when the code is not Accepted
}
