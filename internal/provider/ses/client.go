package ses

import (
	"context"
	"net/http"
	"net/url"

	"postyard/internal/provider/httpcall"
	"postyard/internal/provider/ses/sigv4"
)

// Content types of requests.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded; charset=utf-8"
)

// apiVersion is SNS's.
const apiVersion = "2010-03-31"

// maxAnswer caps what is read of an answer, in bytes: whoever connects a server of theirs has no more of our memory than Amazon needs.
const maxAnswer = 1 << 20

// call is one request to SES.
type call struct {
	method string
	path   string // below the base URL
	body   []byte // JSON; nil for none
}

// do makes one call to SES and reads its answer.
func (a *Adapter) do(ctx context.Context, t *target, c call) httpcall.Answer {
	return a.signed(ctx, t, serviceSES, httpcall.Call{Method: c.method, URL: t.ses + c.path, Body: c.body}, typeJSON)
}

// query makes one call to SNS and reads its answer.
func (a *Adapter) query(ctx context.Context, t *target, action string, parameters url.Values) httpcall.Answer {
	form := url.Values{"Action": {action}, "Version": {apiVersion}}
	for name, values := range parameters {
		form[name] = values
	}
	return a.signed(ctx, t, serviceSNS, httpcall.Call{Method: http.MethodPost, URL: t.sns + "/", Body: []byte(form.Encode())}, typeForm)
}

// signed signs a request and makes it.
func (a *Adapter) signed(ctx context.Context, t *target, service string, c httpcall.Call, kind string) httpcall.Answer {
	u, err := url.Parse(c.URL)
	if err != nil {
		return httpcall.Answer{Err: &httpcall.SettingError{Code: "invalid_endpoint", Field: "endpoint", Text: "the endpoint is not an http or https URL"}}
	}
	c.Header, c.Limit = make(http.Header), maxAnswer
	if c.Body != nil {
		c.Header.Set("Content-Type", kind)
	}
	sigv4.Sign(t.key(service), a.Now(), c.Method, u, c.Header, c.Body)
	// What follows is not signed: it says nothing of the request.
	c.Header.Set("User-Agent", a.UserAgent)
	if service == serviceSES {
		c.Header.Set("Accept", typeJSON)
	}
	return httpcall.Do(ctx, a.Transport, c)
}
