package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"postyard/internal/store"
)

// Codes of PostgreSQL that are decided on (appendix A of its manual).
const (
	uniqueViolation      = "23505"
	readOnlyTransaction  = "25006"
	idleInTransaction    = "25P03"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
)

// failed wraps an error with the operation's name, and marks those that mean that the store cannot work now.
func failed(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case isAway(err) && !errors.Is(err, store.ErrUnavailable):
		return fmt.Errorf("%s: %w: %w", op, store.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", op, err)
	}
}

// unavailable marks an error that came from the connection rather than from a statement.
func unavailable(err error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, err) }

// isAway tells whether an error says that the database cannot work now, rather than that it refuses this work.
func isAway(err error) bool {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refusal.Code {
		case readOnlyTransaction, idleInTransaction, serializationFailure, deadlockDetected, lockNotAvailable, queryCanceled:
			return true
		}
		switch refusal.Code[:min(2, len(refusal.Code))] {
		case "08", // connection
			"53", // resources: disk full, memory, too many connections
			"57", // an operator's doing: shutdown, crash, start
			"58": // the machine's doing: I/O errors
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
}

// hasCode tells whether PostgreSQL refused with one of the codes.
func hasCode(err error, codes ...string) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if refusal.Code == code {
			return true
		}
	}
	return false
}

// text makes foreign words fit for a text column, which holds neither NUL nor anything that is not UTF-8.
func text(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// maxTerm is the most bytes of a text that an index holds; a real one is far shorter.
const maxTerm = 512

// term is text that is looked up: in a column and in a question alike.
func term(s string) string {
	s = text(s)
	if len(s) > maxTerm {
		s = strings.ToValidUTF8(s[:maxTerm], "")
	}
	return s
}

// address is a term that is looked up in whatever case it is written.
func address(s string) string { return strings.ToLower(term(s)) }
