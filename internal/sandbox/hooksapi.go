package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/strictjson"
)

// hookRoutes show the registered webhooks and call them for trial.
func (b *Sandbox) hookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/hooks", b.listHooks)
	mux.HandleFunc("POST /sandbox/hooks/{id}/test", b.testHook)
	mux.HandleFunc("POST /sandbox/hooks/{id}/verify", b.verifyHook)
}

// hooker is a provider whose webhooks can be shown and tried.
type hooker interface {
	Hooks() []hook.Registered
	TestHook(ctx context.Context, server string, id int, trigger string) (hook.Result, error)
}

// allHooks are the webhooks of all providers.
func (b *Sandbox) allHooks() []hook.Registered {
	list := []hook.Registered{}
	for _, name := range slices.Sorted(maps.Keys(b.providers)) {
		if p, ok := b.providers[name].(hooker); ok {
			list = append(list, p.Hooks()...)
		}
	}
	return list
}

// providerOf is the name of the provider that a server belongs to.
func (b *Sandbox) providerOf(server string) string {
	for _, s := range b.servers() {
		if s.Name == server {
			return s.Provider
		}
	}
	return ""
}

// tryOut posts samples to a webhook.
func (b *Sandbox) tryOut(r *http.Request, server string, id int, trigger string) (hook.Result, error) {
	p, ok := b.providers[b.providerOf(server)].(hooker)
	if !ok {
		return hook.Result{}, hook.ErrNone
	}
	return p.TestHook(r.Context(), server, id, trigger)
}

// verify has a webhook verified, where its provider does such a thing.
func (b *Sandbox) verify(r *http.Request, server string, id int) (hook.Result, error) {
	if provider := b.providerOf(server); provider != postmark.Provider {
		return hook.Result{}, &store.Refusal{Reason: fmt.Sprintf("only webhooks of %s are verified, not those of %s", postmark.Provider, provider)}
	}
	return b.postmark.VerifyHook(r, server, id)
}

func (b *Sandbox) listHooks(w http.ResponseWriter, _ *http.Request) {
	b.reply(w, http.StatusOK, map[string]any{"hooks": b.allHooks()})
}

// hook reads which webhook a request is about; without a server it is one of the seed's.
func (b *Sandbox) hook(r *http.Request) (server string, id int, err error) {
	if id, err = strconv.Atoi(r.PathValue("id")); err != nil {
		return "", 0, fmt.Errorf("there is no webhook %q", r.PathValue("id"))
	}
	if server, err = b.server(r); server == "" && err == nil {
		server = b.postmark.Servers()[0].Name
	}
	return server, id, err
}

// testHook has samples posted (PM-sim 47).
func (b *Sandbox) testHook(w http.ResponseWriter, r *http.Request) {
	server, id, err := b.hook(r)
	if err != nil {
		b.refuse(w, http.StatusNotFound, err)
		return
	}
	var wish struct {
		Trigger string `json:"trigger"`
	}
	raw, err := controlBody(w, r)
	if err == nil && len(raw) > 0 {
		err = strictjson.Decode(raw, &wish)
	}
	if err != nil {
		b.refuse(w, http.StatusBadRequest, fmt.Errorf("the body must be empty or a JSON object with trigger: %w", err))
		return
	}
	result, err := b.tryOut(r, server, id, wish.Trigger)
	b.answerHook(w, result, err)
}

func (b *Sandbox) verifyHook(w http.ResponseWriter, r *http.Request) {
	server, id, err := b.hook(r)
	if err != nil {
		b.refuse(w, http.StatusNotFound, err)
		return
	}
	result, err := b.verify(r, server, id)
	b.answerHook(w, result, err)
}

func (b *Sandbox) answerHook(w http.ResponseWriter, result hook.Result, err error) {
	if err != nil {
		b.refuse(w, b.hookStatus(err), plainly(err))
		return
	}
	b.reply(w, http.StatusOK, result)
}

// errUnwritten is what is shown of an error that only the log has in full.
var errUnwritten = errors.New("the webhook could not be changed; see the log")

func plainly(err error) error {
	if statusOf(err) == http.StatusInternalServerError && !errors.Is(err, hook.ErrNone) {
		return errUnwritten
	}
	return err
}

// hookStatus is the status of an error about a webhook, which goes to the log when it is not the caller's.
func (b *Sandbox) hookStatus(err error) int {
	if errors.Is(err, hook.ErrNone) {
		return http.StatusNotFound
	}
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		b.log.Error("sandbox webhook cannot be changed", "err", err)
	}
	return status
}
