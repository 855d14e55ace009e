package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/ssrf"
)

// maxSkew is by how much our clock and a provider's may differ.
const maxSkew = 2 * time.Minute

// words is what people are told of a failed question.
func words(ctx context.Context, err error) string {
	if refused, ok := errors.AsType[*provider.SetupError](err); ok && ctx.Err() == nil {
		return refused.Message
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "there was no answer in time"
	}
	return err.Error()
}

// remote asks the provider, and our own URL.
func (p *patient) remote(ctx context.Context) {
	adapter := p.Adapters[p.t.Type]
	if adapter == nil {
		p.add(Provider, Fail, "this version has no adapter for the provider's type", "DELETE /api/v1/account/tpsp/%d", p.t.ID)
		return
	}
	if p.t.Missing {
		return // in_use tells
	}
	conn, err := p.Connections.Connection(p.t)
	if err != nil {
		p.add(Token, Fail, "the stored key cannot be opened: "+err.Error(), "start the server with the POSTYARD_SECRET_KEY that it was stored with")
		return
	}
	p.secrets = append(p.secrets, conn.Secret)
	if adapter.Capabilities().Silent {
		p.server(ctx, adapter, conn)
		return
	}
	p.secrets = append(p.secrets, conn.Key) // of a mail server it is a user name
	if p.t.Mute() {
		p.trial(adapter)
		return
	}
	hook, err := p.Connections.Hook(p.t)
	if err != nil {
		p.add(Webhook, Fail, "the stored credentials of the webhook cannot be opened: "+err.Error(),
			"start the server with the POSTYARD_SECRET_KEY that they were stored with")
		return
	}
	p.secrets = append(p.secrets, hook.Credentials.Password)

	inspector, _ := adapter.(provider.Inspector)
	var delivery, clock, template []Check
	webhook := []Check{}
	var asking sync.WaitGroup
	if inspector != nil {
		asking.Go(func() { delivery = []Check{p.delivery(ctx, inspector, conn, hook)} })
	}
	reached, works, usable := p.connection(ctx, adapter, conn)
	for name, ask := range map[string]func(){
		Webhook: func() { webhook = []Check{p.webhook(ctx, inspector, conn, hook, usable)} },
		Template: func() {
			if adapter.Capabilities().Templates {
				template = []Check{p.template(ctx, inspector, conn, works)}
			} else {
				template = p.without("this provider has no templates")
			}
		},
		Clock: func() { clock = []Check{p.clock(ctx, inspector, conn, reached)} },
	} {
		if name == Webhook || inspector != nil || name == Template && !adapter.Capabilities().Templates {
			asking.Go(ask)
		}
	}
	asking.Wait()
	p.list = slices.Concat(p.list, webhook, delivery, template, clock)
}

// trial tells what a key is that only tries the provider out: nobody can be asked anything with it.
func (p *patient) trial(adapter provider.Adapter) {
	p.add(Token, Warn, p.t.Webhook.Error, "for mail that arrives, %s", p.keyFix(adapter))
	p.stream(OK, fmt.Sprintf("the message stream %q is taken as it is: with this token there is nobody to ask", p.t.Stream), "")
	p.add(Webhook, OK, "there is none: with this token nothing is reported", "")
	if p.Template != "" {
		p.list = append(p.list, p.rendered("this token has no templates"))
	}
}

// server checks a mail server: it connects, encrypts and logs in.
func (p *patient) server(ctx context.Context, adapter provider.Adapter, conn provider.Connection) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	if err := adapter.Check(ctx, conn); err != nil {
		if p.t.IsIP() {
			p.add(Server, Fail, words(ctx, err), "repair the mail server of %s, or start the server with another one in the option ip", p.t.Name)
			return
		}
		p.add(Server, Fail, words(ctx, err), "repair the server; or PUT /api/v1/account/tpsp/%d with the endpoint, port, key and secret "+
			"that it takes", p.t.ID)
	} else {
		p.add(Server, OK, "the mail server answers, and takes the user name and the password", "")
	}
	p.list = append(p.list, p.without("mail servers have no templates")...)
}

// without tells whether a provider that has no templates can be given the one that was asked about.
func (p *patient) without(lack string) []Check {
	if p.Template == "" {
		return nil
	}
	c := p.rendered(lack)
	if c.Status == Fail {
		c.Status = Warn // it is not what is wrong: such mail goes elsewhere
	}
	return []Check{c}
}

// connection checks that the provider answers, takes the token, and has the stream; it tells which of these hold.
func (p *patient) connection(ctx context.Context, adapter provider.Adapter, conn provider.Connection) (reached, works, usable bool) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	err := adapter.Check(ctx, conn)
	refused, _ := errors.AsType[*provider.SetupError](err)
	field := ""
	if refused != nil && ctx.Err() == nil {
		field = refused.Field
	}
	if err == nil || field == "key" || field == "secret" || field == "messageStream" {
		p.add(Provider, OK, "the provider answers", "")
	}
	switch {
	case err == nil:
		p.add(Token, OK, "the provider takes the token", "")
		p.stream(OK, fmt.Sprintf("mail can be sent through the message stream %q", p.t.Stream), "")
		return true, true, true
	case field == "messageStream":
		p.add(Token, OK, "the provider takes the token", "")
		p.stream(Fail, words(ctx, err), fmt.Sprintf(`choose a stream that can be used: PUT /api/v1/account/tpsp/%d with {"messageStream": "..."}; `+
			"one that was archived can also be restored in the provider's own pages", p.t.ID))
		return true, true, false
	case field == "key", field == "secret":
		p.add(Token, Fail, words(ctx, err), "%s", p.keyFix(adapter))
		p.stream(Warn, "not looked at: the token does not work", "repair the token first")
		return true, false, false
	default:
		p.add(Provider, Fail, words(ctx, err), p.reachFix(refused))
		p.add(Token, Warn, "not looked at: the provider did not answer", "repair the way to the provider first")
		p.stream(Warn, "not looked at: the provider did not answer", "repair the way to the provider first")
	}
	return false, false, false
}

// stream tells of the message stream, where the provider has such a thing.
func (p *patient) stream(status Status, message, fix string) {
	if p.Adapters[p.t.Type].Capabilities().Streams {
		p.add(Stream, status, message, "%s", fix)
	}
}

// keyFix says how the provider is given credentials that it takes.
func (p *patient) keyFix(adapter provider.Adapter) string {
	profile := adapter.Profile()
	var fields []string
	for _, name := range []string{provider.FieldKey, provider.FieldSecret} {
		if holds := profile.Holds(name); holds != "" {
			fields = append(fields, fmt.Sprintf("%q: %q", name, holds))
		}
	}
	return fmt.Sprintf("PUT /api/v1/account/tpsp/%d with {%s}", p.t.ID, strings.Join(fields, ", "))
}

func (p *patient) reachFix(refused *provider.SetupError) string {
	switch {
	case refused != nil && refused.Code == "ip_not_allowed":
		return "add this machine's address to the provider's API access list"
	case refused != nil && refused.Field == "endpoint":
		return fmt.Sprintf(`PUT /api/v1/account/tpsp/%d with {"endpoint": "...", "key": "..."}`, p.t.ID)
	}
	return fmt.Sprintf("let this machine reach the provider (DNS, firewall), or wait for it; then postyard doctor --tpsp %d", p.t.ID)
}

// webhook checks that the webhook stands at the provider as it should.
func (p *patient) webhook(ctx context.Context, inspector provider.Inspector, conn provider.Connection, hook provider.Hook, usable bool) Check {
	w := p.t.Webhook
	registered := w.State == directory.WebhookRegistered
	again := fmt.Sprintf("POST /api/v1/account/tpsp/%d/webhook registers it again at once", p.t.ID)
	if !w.NextTry.IsZero() {
		again += "; by itself it is looked at again at " + moment(w.NextTry)
	}
	stored := "its registration is " + string(w.State)
	if w.Error != "" {
		stored += ": " + w.Error
	}
	if !usable {
		return p.check(Webhook, Warn, "not looked at: the token or the message stream does not work", "repair that first")
	}
	var faults []string
	if inspector != nil {
		ctx, cancel := context.WithTimeout(ctx, p.Patience)
		defer cancel()
		var err error
		if faults, err = inspector.InspectHook(ctx, conn, hook); err != nil {
			return p.check(Webhook, Warn, "not looked at: "+words(ctx, err), fmt.Sprintf("postyard doctor --tpsp %d once more", p.t.ID))
		}
	}
	switch {
	case len(faults) > 0 && registered:
		return p.check(Webhook, Fail, "it was changed at the provider: "+strings.Join(faults, "; "), again)
	case len(faults) > 0:
		return p.check(Webhook, Fail, stored+"; at the provider: "+strings.Join(faults, "; "), again)
	case !registered:
		return p.check(Webhook, Fail, stored, again)
	}
	if inspector == nil {
		return p.check(Webhook, OK, "it stood at the provider as it should when that was looked at last, as is done every hour", "")
	}
	return p.check(Webhook, OK, "it stands at the provider as it should, with all events", "")
}

// publicURL checks that our own URL answers, from where we are.
func (e *exam) publicURL(ctx context.Context) Check {
	fix := "start the server with --public-url https://..., an address that leads here from the Internet, and have the reverse proxy pass /healthz and /tpsp/"
	status, body, err := e.call(ctx, http.MethodGet, e.PublicURL+"/healthz", nil, nil)
	switch blocked, private := errors.AsType[*ssrf.BlockedError](err); {
	case private && ssrf.CheckHost(hostOf(e.PublicURL), false) == nil:
		return Check{Name: PublicURL, Status: Warn, Fix: fix, Message: fmt.Sprintf("%s leads to %s from here, which providers cannot reach; whether they have "+
			"another address for it cannot be told", e.PublicURL, blocked.Addr)}
	case private:
		return Check{Name: PublicURL, Status: Fail, Message: e.PublicURL + " is an address of this machine or network: no provider can reach it", Fix: fix}
	case err != nil:
		return Check{Name: PublicURL, Status: Fail, Message: e.PublicURL + " does not answer: " + err.Error(), Fix: fix}
	case status != http.StatusOK || !strings.Contains(string(body), `"alive"`):
		return Check{Name: PublicURL, Status: Warn, Fix: fix, Message: fmt.Sprintf("%s/healthz answers HTTP %d, and not as this server does", e.PublicURL, status)}
	}
	return Check{Name: PublicURL, Status: OK, Message: e.PublicURL + " answers"}
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// call makes a request to our own URL. Its error holds no credentials.
func (e *exam) call(ctx context.Context, method, target string, h http.Header, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for name, values := range h {
		req.Header[name] = values
	}
	res, err := e.http.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // it names the URL, which the message does as well
		}
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return res.StatusCode, answer, err
}

// delivery posts a sample where the provider posts to.
func (p *patient) delivery(ctx context.Context, inspector provider.Inspector, conn provider.Connection, hook provider.Hook) Check {
	if <-p.asked; p.url.Status == Fail {
		return p.check(Delivery, Warn, "not tried: the public URL does not answer", "repair the public URL first")
	}
	const fix = "have the reverse proxy pass /tpsp/ to this server, with the header Authorization; or start the server with --public-url https://..., " +
		"an address that leads here from the Internet"
	if p.t.Endpoint == "" && ssrf.CheckHost(hostOf(p.PublicURL), false) != nil {
		return p.check(Delivery, Fail, p.PublicURL+" is an address of this machine or network: the provider cannot reach it", fix)
	}
	h, body := inspector.Sample(conn, hook.Credentials)
	status, _, err := p.call(ctx, http.MethodPost, hook.URL, h, body)
	if _, private := errors.AsType[*ssrf.BlockedError](err); private { // the check of the URL says so
		return p.check(Delivery, Warn, "not tried: from here "+hook.URL+" leads into a private network", fix)
	}
	switch {
	case err != nil:
		return p.check(Delivery, Fail, hook.URL+" does not answer: "+err.Error(), fix)
	case status == http.StatusUnauthorized:
		return p.check(Delivery, Fail, hook.URL+" answers HTTP 401 to the webhook's own credentials: another server is there, or a proxy takes them away", fix)
	case status != http.StatusOK:
		return p.check(Delivery, Fail, fmt.Sprintf("%s answers HTTP %d instead of 200", hook.URL, status), fix)
	}
	return p.check(Delivery, OK, "a sample that was posted to "+hook.URL+" arrived", "")
}

// clock compares our clock with the provider's.
func (p *patient) clock(ctx context.Context, inspector provider.Inspector, conn provider.Connection, reached bool) Check {
	if !reached {
		return p.check(Clock, Warn, "not looked at: the provider did not answer", "repair the way to the provider first")
	}
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	before := p.Now()
	at, err := inspector.Clock(ctx, conn)
	if err != nil {
		return p.check(Clock, Warn, "not looked at: "+words(ctx, err), "repair the way to the provider first")
	}
	middle := before.Add(p.Now().Sub(before) / 2)
	skew := middle.Sub(at)
	if skew.Abs() <= maxSkew {
		return p.check(Clock, OK, "our clock and the provider's agree", "")
	}
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	return p.check(Clock, Warn, fmt.Sprintf("our clock is %s %s the provider's: limits and waiting times go wrong", skew.Abs().Round(time.Second), way),
		"set the clock of this machine, or of the PostgreSQL server where there is one: timedatectl set-ntp true")
}
