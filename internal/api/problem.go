package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"postyard/internal/accept"
	"postyard/internal/account"
	"postyard/internal/catchup"
	"postyard/internal/doctor"
	"postyard/internal/domain"
	"postyard/internal/ingest"
	"postyard/internal/ip"
	"postyard/internal/ippool"
	"postyard/internal/mail"
	"postyard/internal/member"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/suppress"
	"postyard/internal/template"
	"postyard/internal/tpsp"
	"postyard/internal/track"
	"postyard/internal/webhook"
)

// problem is a refusal as the client sees it.
type problem struct {
	status     int
	retryAfter time.Duration

	Code      string `json:"code"`      // stable, snake_case
	Message   string `json:"message"`   // for people
	Field     string `json:"field"`     // the field, header or parameter to blame, "" when none is
	RequestID string `json:"requestId"` // finds the request in the log
}

// Error implements error.
func (p *problem) Error() string { return p.Code + ": " + p.Message }

// retryAfter is what a client is asked to wait for a store that is away.
const retryAfter = 5 * time.Second

// statusClientGone is logged for requests whose client hung up; nobody receives it.
const statusClientGone = 499

// problemOf decides the status and the words of every error. What it does not know is an internal error, whose cause users
// never see.
//
//	401  the webhook's credentials are missing or wrong (keys are judged by refuseKey); a session has ended
//	422  the request breaks a rule; also: the provider refuses the key, the stream, ...
//	403  the name (or the key with its stream, or the IP, or the email) is taken, as SendPost has it; the member's role does not allow it; the
//	     sub-account, or one above it, is blocked; a
//	     request with a session does not prove to come from the dashboard
//	404  the id is not one of the account's
//	406  the default sub-account cannot be deleted; a list of suppressions is empty: as SendPost has it
//	409  the idempotency key was used for another request, or its request is being worked on; messages still wait for the provider or the IP pool that is to be deleted; other IP pools lead to the one that is, other
//	     sub-accounts stand under it; a verification or an examination of the
//	     account is running; the provider is being caught up with already; its webhook is being registered; IP pools would have no member without it;
//	     the account would have no owner
//	429  there are too many requests with the key, or with wrong keys; with Retry-After
//	502  the provider cannot be reached or is out of order: trying again may help, another request will not
//	503  we cannot work now: the disk, the database, or a backlog that is full; with Retry-After
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*mail.FieldError](err); ok {
		return &problem{status: http.StatusUnprocessableEntity, Code: e.Code, Message: e.Message, Field: e.Field}
	}
	if e, ok := errors.AsType[*provider.SetupError](err); ok {
		status := http.StatusUnprocessableEntity
		if e.Retry {
			status = http.StatusBadGateway
		}
		return &problem{status: status, Code: e.Code, Message: e.Message, Field: e.Field}
	}
	if e, ok := errors.AsType[*tpsp.DuplicateError](err); ok {
		return &problem{status: http.StatusForbidden, Code: "duplicate_provider", Message: e.Error(), Field: "key"}
	}
	if e, ok := errors.AsType[*tpsp.WaitingError](err); ok {
		return &problem{status: http.StatusConflict, Code: "messages_waiting", Message: e.Error(), Field: "force"}
	}
	if e, ok := errors.AsType[*tpsp.PoolsError](err); ok {
		return &problem{status: http.StatusConflict, Code: "ippools_would_be_empty", Message: e.Error(), Field: "force"}
	}
	if e, ok := errors.AsType[*ip.TakenError](err); ok {
		return &problem{status: http.StatusForbidden, Code: "ip_taken", Message: e.Error(), Field: "ips"}
	}
	if e, ok := errors.AsType[*ip.WaitingError](err); ok {
		return &problem{status: http.StatusConflict, Code: "messages_waiting", Message: e.Error(), Field: "force"}
	}
	if e, ok := errors.AsType[*ip.PoolsError](err); ok {
		return &problem{status: http.StatusConflict, Code: "ippools_would_be_empty", Message: e.Error(), Field: "force"}
	}
	if e, ok := errors.AsType[*ippool.WaitingError](err); ok {
		return &problem{status: http.StatusConflict, Code: "messages_waiting", Message: e.Error(), Field: "force"}
	}
	if e, ok := errors.AsType[*ippool.UsedError](err); ok {
		return &problem{status: http.StatusConflict, Code: "ippool_in_use", Message: e.Error()}
	}
	if e, ok := errors.AsType[*accept.BlockedError](err); ok {
		return &problem{status: http.StatusForbidden, Code: "sub_account_blocked", Message: e.Reason + "; nothing was stored"}
	}
	if e, ok := errors.AsType[*accept.OverloadedError](err); ok {
		return &problem{status: http.StatusServiceUnavailable, retryAfter: e.RetryAfter, Code: "overloaded",
			Message: e.Reason + "; nothing was stored, try again"}
	}
	if r, ok := member.RefusalOf(err); ok {
		return &problem{status: r.Status, retryAfter: r.RetryAfter, Code: r.Code, Message: r.Message, Field: r.Field}
	}
	return problemOfCause(err)
}

// problemOfCause knows the errors that carry no words of their own.
func problemOfCause(err error) *problem {
	switch {
	case errors.Is(err, ingest.ErrUnauthorized):
		return &problem{status: http.StatusUnauthorized, Code: "invalid_credentials",
			Message: "these are not the credentials of a webhook of this account"}
	case errors.Is(err, account.ErrNameTaken):
		return &problem{status: http.StatusForbidden, Code: "name_taken", Message: account.ErrNameTaken.Error(), Field: "name"}
	case errors.Is(err, accept.ErrKeyReused):
		return &problem{status: http.StatusConflict, Code: "idempotency_key_reused", Field: idempotencyKey,
			Message: accept.ErrKeyReused.Error() + "; another request needs another key"}
	case errors.Is(err, accept.ErrKeyInUse):
		return &problem{status: http.StatusConflict, retryAfter: time.Second, Code: "idempotency_key_in_use", Field: idempotencyKey,
			Message: accept.ErrKeyInUse.Error()}
	case errors.Is(err, account.ErrNotFound):
		return notFound(account.ErrNotFound.Error())
	case errors.Is(err, account.ErrDefault):
		return &problem{status: http.StatusNotAcceptable, Code: "default_sub_account", Message: account.ErrDefault.Error()}
	case errors.Is(err, account.ErrChildren):
		return &problem{status: http.StatusConflict, Code: "sub_account_has_children", Message: account.ErrChildren.Error()}
	case errors.Is(err, domain.ErrNotFound):
		return &problem{status: http.StatusNotAcceptable, Code: "not_found", Message: domain.ErrNotFound.Error()} // as SendPost has it
	case errors.Is(err, domain.ErrDuplicate):
		return &problem{status: http.StatusForbidden, Code: "duplicate_domain", Message: domain.ErrDuplicate.Error(), Field: "name"}
	case errors.Is(err, ippool.ErrNameTaken):
		return &problem{status: http.StatusForbidden, Code: "name_taken", Message: ippool.ErrNameTaken.Error(), Field: "name"}
	case errors.Is(err, ippool.ErrNotFound):
		return notFound(ippool.ErrNotFound.Error())
	case errors.Is(err, ip.ErrNotFound):
		return notFound(ip.ErrNotFound.Error())
	case errors.Is(err, tpsp.ErrNotFound):
		return notFound(tpsp.ErrNotFound.Error())
	case errors.Is(err, tpsp.ErrBusy):
		return &problem{status: http.StatusConflict, Code: "webhook_registration_running", Message: tpsp.ErrBusy.Error()}
	case errors.Is(err, doctor.ErrRunning):
		return &problem{status: http.StatusConflict, Code: "doctor_running", Message: doctor.ErrRunning.Error()}
	case errors.Is(err, account.ErrNoLabel):
		return notFound(account.ErrNoLabel.Error())
	case errors.Is(err, account.ErrLabelTaken):
		return &problem{status: http.StatusForbidden, Code: "name_taken", Message: account.ErrLabelTaken.Error(), Field: "name"}
	case errors.Is(err, tpsp.ErrNoWebhook):
		return &problem{status: http.StatusUnprocessableEntity, Code: "no_webhook", Message: tpsp.ErrNoWebhook.Error()}
	case errors.Is(err, catchup.ErrNotFound):
		return notFound(catchup.ErrNotFound.Error())
	case errors.Is(err, catchup.ErrRunning):
		return &problem{status: http.StatusConflict, Code: "catch_up_running", Message: catchup.ErrRunning.Error(), Field: "tpspId"}
	case errors.Is(err, track.ErrUnknown):
		return notFound(track.ErrUnknown.Error())
	case errors.Is(err, webhook.ErrNotFound):
		return notFound(webhook.ErrNotFound.Error())
	case errors.Is(err, webhook.ErrDuplicate):
		return &problem{status: http.StatusForbidden, Code: "duplicate_webhook", Message: webhook.ErrDuplicate.Error(), Field: "url"}
	case errors.Is(err, webhook.ErrTooMany):
		return &problem{status: http.StatusUnprocessableEntity, Code: "too_many_webhooks", Message: webhook.ErrTooMany.Error()}
	case errors.Is(err, store.ErrNotFound):
		return notFound("the account has no such thing")
	case errors.Is(err, store.ErrConflict):
		return &problem{status: http.StatusForbidden, Code: "exists_already", Message: "this exists already"}
	case errors.Is(err, template.ErrNoStored):
		return notFound(template.ErrNoStored.Error())
	case errors.Is(err, template.ErrNameTaken):
		return &problem{status: http.StatusForbidden, Code: "name_taken", Message: template.ErrNameTaken.Error(), Field: "name"}
	case errors.Is(err, template.ErrNotFound):
		return notFound(template.ErrNotFound.Error())
	case errors.Is(err, template.ErrRunning):
		return &problem{status: http.StatusConflict, Code: "templates_sync_running", Message: template.ErrRunning.Error(), Field: "tpspId"}
	case errors.Is(err, template.ErrNoSource):
		return &problem{status: http.StatusUnprocessableEntity, Code: "no_templates", Message: template.ErrNoSource.Error(), Field: "tpspId"}
	case errors.Is(err, suppress.ErrNotFound):
		return notFound(suppress.ErrNotFound.Error())
	case errors.Is(err, suppress.ErrRunning):
		return &problem{status: http.StatusConflict, Code: "suppressions_sync_running", Message: suppress.ErrRunning.Error(), Field: "tpspId"}
	case errors.Is(err, suppress.ErrNoList):
		return &problem{status: http.StatusUnprocessableEntity, Code: "no_suppression_list", Message: suppress.ErrNoList.Error(), Field: "tpspId"}
	case errors.Is(err, catchup.ErrStopped), errors.Is(err, template.ErrStopped), errors.Is(err, suppress.ErrStopped):
		return &problem{status: http.StatusServiceUnavailable, retryAfter: retryAfter, Code: "unavailable",
			Message: "the server is stopping; what was read back is stored, try again for the rest"}
	case errors.Is(err, store.ErrUnavailable):
		return &problem{status: http.StatusServiceUnavailable, retryAfter: retryAfter, Code: "unavailable",
			Message: "the server cannot work now: try again; what this request asked for may have been done or not"}
	case errors.Is(err, context.Canceled):
		return &problem{status: statusClientGone, Code: "client_gone", Message: "the client ended the request"}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusServiceUnavailable, retryAfter: retryAfter, Code: "timeout",
			Message: "the server could not answer in time"}
	}
	return &internalError
}

// internalError tells nothing of its cause.
var internalError = problem{status: http.StatusInternalServerError, Code: "internal_error",
	Message: "the server failed; its log has the cause under this request's id"}

func notFound(message string) *problem {
	return &problem{status: http.StatusNotFound, Code: "not_found", Message: message}
}

// badParameter refuses a query parameter, by name (400, as SendPost has it for dates).
func badParameter(name, message string) *problem {
	return &problem{status: http.StatusBadRequest, Code: "invalid_parameter", Message: name + ": " + message, Field: name}
}

// fail answers with an error. Internal ones are logged with their cause; the client sees the request's id only.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.refuse(w, r, s.problem(r, err))
}

// problem is problemOf, and logs what only the log may tell.
func (s *server) problem(r *http.Request, err error) problem {
	p := *problemOf(err)
	if p.status == http.StatusInternalServerError {
		s.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", logged(r.URL.Path),
			"requestId", requestID(r.Context()), "error", err)
	}
	p.RequestID = requestID(r.Context())
	return p
}

// wait tells the client when to come again, if the problem passes.
func (p *problem) wait(h http.Header) {
	if p.retryAfter > 0 {
		seconds := int64((p.retryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request, p problem) {
	p.RequestID = requestID(r.Context())
	p.wait(w.Header())
	if err := reply(w, p.status, p); err != nil {
		s.Log.ErrorContext(r.Context(), "refusal not written", "requestId", p.RequestID, "error", err)
	}
}
