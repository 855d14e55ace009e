package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/strictjson"
)

// hookRoutes show the registered webhooks and call them for trial.
func (b *Sandbox) hookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/hooks", b.listHooks)
	mux.HandleFunc("POST /sandbox/hooks/{id}/test", b.testHook)
	mux.HandleFunc("POST /sandbox/hooks/{id}/verify", b.verifyHook)
}

func (b *Sandbox) listHooks(w http.ResponseWriter, _ *http.Request) {
	b.reply(w, http.StatusOK, map[string]any{"hooks": b.postmark.Hooks()})
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
	result, err := b.postmark.TestHook(r.Context(), server, id, wish.Trigger)
	b.answerHook(w, result, err)
}

func (b *Sandbox) verifyHook(w http.ResponseWriter, r *http.Request) {
	server, id, err := b.hook(r)
	if err != nil {
		b.refuse(w, http.StatusNotFound, err)
		return
	}
	result, err := b.postmark.VerifyHook(r, server, id)
	b.answerHook(w, result, err)
}

func (b *Sandbox) answerHook(w http.ResponseWriter, result postmark.HookResult, err error) {
	if err != nil {
		b.refuse(w, b.hookStatus(err), plainly(err))
		return
	}
	b.reply(w, http.StatusOK, result)
}

// errUnwritten is what is shown of an error that only the log has in full.
var errUnwritten = errors.New("the webhook could not be changed; see the log")

func plainly(err error) error {
	if statusOf(err) == http.StatusInternalServerError && !errors.Is(err, postmark.ErrNoHook) {
		return errUnwritten
	}
	return err
}

// hookStatus is the status of an error about a webhook, which goes to the log when it is not the caller's.
func (b *Sandbox) hookStatus(err error) int {
	if errors.Is(err, postmark.ErrNoHook) {
		return http.StatusNotFound
	}
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		b.log.Error("sandbox webhook cannot be changed", "err", err)
	}
	return status
}
