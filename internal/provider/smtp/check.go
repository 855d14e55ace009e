package smtp

import (
	"context"

	"postyard/internal/provider"
)

// Check implements provider.Adapter: it connects, encrypts, logs in and says goodbye. SendPost hands over a message at this point
// (CS-1); we do not know an address that may be written to. Its errors are *provider.SetupError.
func (a *Adapter) Check(ctx context.Context, conn provider.Connection) error {
	t, bad := parse(conn)
	if bad != nil {
		return &provider.SetupError{Code: bad.Code, Field: bad.Field, Message: bad.Message}
	}
	s, failed := a.connect(ctx, t)
	if failed != nil {
		return failed.setup()
	}
	defer s.drop()
	if err := s.client.Noop(); err != nil {
		return broken(t, s.wire, connecting, err).setup()
	}
	if err := s.client.Quit(); err != nil {
		return broken(t, s.wire, connecting, err).setup()
	}
	return nil
}

// setup is the failure as an answer to the user. What the server may see differently in a while is worth another try.
func (f *failure) setup() error {
	retry := f.code == provider.CodeUnreachable || f.code == provider.CodeUnavailable
	return &provider.SetupError{Code: f.code, Field: f.field, Message: f.outcome.Text, Retry: retry}
}
