package postmark

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"postyard/internal/provider"
)

// Streams implements provider.Adapter (PM-2). Its errors are *provider.SetupError.
func (a *Adapter) Streams(ctx context.Context, conn provider.Connection) ([]provider.Stream, error) {
	streams, err := a.streams(ctx, conn)
	if err != nil {
		return nil, a.setupError(ctx, conn, err)
	}
	return streams, nil
}

func (a *Adapter) streams(ctx context.Context, conn provider.Connection) ([]provider.Stream, error) {
	if isTrial(conn) {
		return trialStreams(), nil
	}
	const path = "/message-streams"
	var answer struct {
		MessageStreams *[]struct {
			ID, Name, MessageStreamType string
			ArchivedAt                  json.RawMessage // a date or null
		}
	}
	query := url.Values{"MessageStreamType": {"All"}, "IncludeArchivedStreams": {"true"}}
	if err := a.ask(ctx, conn, call{method: http.MethodGet, path: path, query: query}, &answer); err != nil {
		return nil, err
	}
	if answer.MessageStreams == nil {
		return nil, unreadable(path)
	}
	streams := make([]provider.Stream, 0, len(*answer.MessageStreams))
	for _, s := range *answer.MessageStreams {
		streams = append(streams, provider.Stream{
			ID: provider.Clean(s.ID, maxID), Name: provider.Clean(s.Name, maxField), Type: provider.Clean(s.MessageStreamType, maxID),
			Archived: len(s.ArchivedAt) > 0 && string(s.ArchivedAt) != "null",
		})
	}
	return streams, nil
}

// Identify implements provider.Identifier: the account is a server, which may have several tokens; the test token opens none. Its errors
// are *provider.SetupError.
func (a *Adapter) Identify(ctx context.Context, conn provider.Connection) (string, error) {
	if isTrial(conn) {
		return "", nil
	}
	// The answer holds the server's tokens in clear: only what is needed is decoded.
	var server struct{ ID *int64 }
	if err := a.ask(ctx, conn, call{method: http.MethodGet, path: "/server"}, &server); err != nil {
		return "", a.setupError(ctx, conn, err)
	}
	if server.ID == nil {
		return "", a.setupError(ctx, conn, unreadable("/server"))
	}
	return strconv.FormatInt(*server.ID, 10), nil
}

// Check implements provider.Adapter: the token must be a server's (PM-9) and the stream one that sends (PM-3). The
// test token is not asked about. Its errors are *provider.SetupError.
func (a *Adapter) Check(ctx context.Context, conn provider.Connection) error {
	if _, err := a.Identify(ctx, conn); err != nil {
		return err
	}
	streams, err := a.streams(ctx, conn)
	if err != nil {
		return a.setupError(ctx, conn, err)
	}
	return checkStream(conn.Stream, streams)
}

func checkStream(id string, streams []provider.Stream) error {
	fault := unknownStream(id)
	if id == "" {
		fault = &provider.SetupError{Code: "missing_stream", Field: "messageStream", Message: "select a message stream"}
	}
	var usable []string
	for _, s := range streams {
		if s.Sends() {
			usable = append(usable, fmt.Sprintf("%s (%s, %s)", s.ID, s.Name, s.Type))
		}
		switch {
		case s.ID != id || id == "":
		case s.Sends():
			return nil
		case s.Type == provider.Inbound:
			fault = inboundStream(id)
		default:
			fault = archivedStream(id)
		}
	}
	fault.Message += "; available: " + list(usable)
	return fault
}

// What is wrong with a stream, whether its list tells or a refusal.
func unknownStream(id string) *provider.SetupError {
	return streamError("unknown_stream", id, "does not exist on this Postmark server")
}

func archivedStream(id string) *provider.SetupError {
	return streamError("archived_stream", id, "is archived")
}

func inboundStream(id string) *provider.SetupError {
	return streamError("inbound_stream", id, "receives mail and cannot send any")
}

func streamError(code, id, fault string) *provider.SetupError {
	return &provider.SetupError{Code: code, Field: "messageStream", Message: fmt.Sprintf("the message stream %q %s", provider.Clean(id, maxID), fault)}
}
