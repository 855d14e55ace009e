package postmark

import (
	"context"
	"net/http"
	"net/url"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// Names of Postmark's headers.
const (
	serverTokenHeader  = "X-Postmark-Server-Token"
	accountTokenHeader = "X-Postmark-Account-Token"
	errorCodeHeader    = "X-PM-ApiErrorCode" // repeats the ErrorCode of an error body
)

// call is one request to Postmark.
type call struct {
	method  string
	path    string
	query   url.Values
	body    []byte // JSON; nil for none
	account bool   // send the key as an account token, to learn whether it is one
	limit   int64  // caps what is read of the answer; 0 is httpcall.MaxAnswer
}

// answer is what came back.
type answer struct{ httpcall.Answer }

// baseURL returns where the connection's API is, without a slash at the end.
func baseURL(conn provider.Connection) (string, error) {
	return httpcall.BaseURL(conn.Endpoint, defaultEndpoint)
}

// token returns the connection's key as it goes into the header.
func token(conn provider.Connection) (string, error) {
	return httpcall.Token(conn.Key.Reveal(), "Server API token")
}

// do makes one call and reads its answer.
func (a *Adapter) do(ctx context.Context, conn provider.Connection, c call) answer {
	request, err := a.request(conn, c)
	if err != nil {
		return answer{httpcall.Answer{Err: err}}
	}
	return answer{httpcall.Do(ctx, a.transport, request)}
}

func (a *Adapter) request(conn provider.Connection, c call) (httpcall.Call, error) {
	base, err := baseURL(conn)
	if err != nil {
		return httpcall.Call{}, err
	}
	key, err := token(conn)
	if err != nil {
		return httpcall.Call{}, err
	}
	target := base + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {a.userAgent}}
	if c.account {
		header.Set(accountTokenHeader, key)
	} else {
		header.Set(serverTokenHeader, key)
	}
	if c.body != nil {
		header.Set("Content-Type", "application/json")
	}
	return httpcall.Call{Method: c.method, URL: target, Header: header, Body: c.body, Limit: c.limit}, nil
}
