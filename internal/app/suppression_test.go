package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/config"
	"postyard/internal/secret"
)

// newSuppressing is a stage whose server reads providers' lists often.
func newSuppressing(t *testing.T) *stage {
	return newStage(t, func(cfg *config.Config, _ *Server) { cfg.SuppressionInterval = 200 * time.Millisecond })
}

// list calls the simulated Postmark about the suppression list of a stream.
func (s *stage) list(method, step string, in any) (listed string) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.SandboxURL+"/message-streams/"+s.Stream+"/suppressions"+step, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Postmark-Server-Token", s.SandboxToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s (%v)", method, step, res.StatusCode, raw, err)
	}
	return string(raw)
}

// dump is the provider's list.
func (s *stage) dump() string { return s.list(http.MethodGet, "/dump", nil) }

// entry is the body that names one address.
func entry(email string) any {
	return map[string]any{"Suppressions": []map[string]string{{"EmailAddress": email}}}
}

// suppressed is what is listed of an address: its reason, or "".
func (s *stage) suppressed(api *client.Client, email string) string {
	s.t.Helper()
	now := time.Now().UTC()
	found, err := api.Suppressions(s.t.Context(), client.SuppressionQuery{From: now.AddDate(0, 0, -1), To: now, Search: email, Limit: 10})
	if err != nil {
		s.t.Fatal(err)
	}
	reasons := make([]string, len(found))
	for i, f := range found {
		reasons[i] = fmt.Sprint(f.Reason)
	}
	return strings.Join(reasons, " ")
}

// other is the client of the scene's second sub-account.
func (s *stage) other() *client.Client {
	return &client.Client{URL: s.URL, AccountKey: secret.NewString(s.AccountAPIKey), SubAccountKey: secret.NewString(s.SubAccounts[1].APIKey)}
}

// sendAs sends one email for a sub-account.
func (s *stage) sendAs(api *client.Client, to string) string {
	s.t.Helper()
	was := s.api
	s.api = api
	defer func() { s.api = was }()
	return s.send(to)[0]
}

func (s *stage) raiseAt(id string, wish map[string]any) {
	s.t.Helper()
	var box struct {
		Messages []struct{ ID string }
	}
	s.control(http.MethodGet, "/sandbox/messages?messageId="+url.QueryEscape(id), nil, &box)
	s.control(http.MethodPost, "/sandbox/messages/"+box.Messages[0].ID+"/events", wish, nil)
}

// A hard bounce suppresses its address for the sub-account that mailed it; a user's word makes mail flow again, here and at the provider.
func TestHardBounceSuppresses(t *testing.T) {
	t.Parallel()
	s := newSuppressing(t)
	const to = "Gone@example.net"
	first := s.send(to)[0]
	s.want("[69 70 71]", 1, first)
	s.raiseAt(first, map[string]any{"kind": "bounce", "type": "HardBounce"})
	s.want("[69 70 71 72]", 1, first)
	if got := s.suppressed(s.api, "gone@"); got != "2" {
		t.Fatalf("after the bounce: %q", got)
	}
	s.want("[0 1]", 0, s.send(to)[0])
	events, err := s.api.MessageEvents(t.Context(), s.send(to)[0])
	if err != nil || len(events) != 2 || !strings.Contains(events[1].SMTPDescription, "hardBounce") {
		t.Errorf("the reason is not told: %+v, %v", events, err)
	}
	if got := s.suppressed(s.other(), "gone@"); got != "" {
		t.Errorf("another sub-account: %q", got)
	}
	waitFor(t, "the list's mirror", func() bool { return s.synced()[0].Listed == 1 })
	if err := s.api.Reactivate(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the release at the provider", func() bool { return !strings.Contains(strings.ToLower(s.dump()), "gone@") })
	s.want("[69 70 71]", 1, s.send(to)[0])
	s.synced()
	if got := s.suppressed(s.api, "gone@"); got != "" {
		t.Errorf("suppressed again: %q", got)
	}
	s.balanced()
}

// synced brings all lists in step.
func (s *stage) synced() []client.SyncedSuppressions {
	s.t.Helper()
	var list []client.SyncedSuppressions
	waitFor(s.t, "a sync", func() bool {
		var err error
		list, err = s.api.SyncSuppressions(s.t.Context(), 0)
		return err == nil && !strings.Contains(list[0].Error, "already")
	})
	if list[0].Error != "" {
		s.t.Fatal(list[0].Error)
	}
	return list
}

// What people change in the provider's own list shows here, in both directions.
func TestProvidersListIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSuppressing(t)
	const to = "manual@example.net"
	second := s.sendAs(s.other(), to) // whose address it is
	s.want("[69 70 71]", 1, second)
	s.list(http.MethodPost, "", entry(to))
	waitFor(t, "the entry here", func() bool { return s.suppressed(s.other(), to) == "0" })
	if got := s.suppressed(s.api, to); got != "" {
		t.Errorf("a sub-account that never mailed it: %q", got)
	}
	s.want("[0 1]", 0, s.sendAs(s.other(), to))
	s.list(http.MethodPost, "/delete", entry(to))
	waitFor(t, "the end of the suppression", func() bool { return s.suppressed(s.other(), to) == "" })
	s.want("[69 70 71]", 1, s.sendAs(s.other(), to))
}

// A complaint cannot be taken off Postmark's list: the address shows again, with Postmark's words.
func TestComplaintStays(t *testing.T) {
	t.Parallel()
	s := newSuppressing(t)
	const to = "angry@example.net"
	id := s.send(to)[0]
	s.want("[69 70 71]", 1, id)
	s.raiseAt(id, map[string]any{"kind": "complaint"})
	s.want("[69 70 71 77]", 1, id)
	if got := s.suppressed(s.api, to); got != "3" {
		t.Fatalf("after the complaint: %q", got)
	}
	if err := s.api.Reactivate(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the suppression again", func() bool { return s.suppressed(s.api, to) == "3" })
	now := time.Now().UTC()
	found, err := s.api.Suppressions(t.Context(), client.SuppressionQuery{From: now.AddDate(0, 0, -1), To: now, Search: to, Limit: 10})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].SMTPError, "authority") {
		t.Errorf("%+v, %v", found, err)
	}
	refused := s.synced()[0].Refused
	if len(refused) != 1 || refused[0].Email != to || refused[0].Change != "reactivate" {
		t.Errorf("refused: %+v", refused)
	}
}

// What a user suppresses counts for the sub-account. It goes to the provider's list unless other sub-accounts mail through it.
func TestUserSuppresses(t *testing.T) {
	t.Parallel()
	s := newSuppressing(t)
	s.want("[69 70 71]", 1, s.send("first@example.net")[0])
	stored, err := s.api.Suppress(t.Context(), "unsubscribe", "One@example.net")
	if err != nil || len(stored) != 1 || stored[0].Email != "one@example.net" || stored[0].Reason != 1 {
		t.Fatalf("%+v, %v", stored, err)
	}
	waitFor(t, "the entry at the provider", func() bool { return strings.Contains(s.dump(), "one@example.net") })
	s.want("[0 1]", 0, s.send("one@example.net")[0])

	s.want("[69 70 71]", 1, s.sendAs(s.other(), "first@example.net"))
	if _, err := s.api.Suppress(t.Context(), "manual", "two@example.net"); err != nil {
		t.Fatal(err)
	}
	s.synced()
	if strings.Contains(s.dump(), "two@") {
		t.Error("an address that another sub-account may mail is on the provider's list")
	}
	s.want("[0 1]", 0, s.send("two@example.net")[0])
	s.want("[69 70 71]", 1, s.sendAs(s.other(), "two@example.net"))
	if got := s.suppressed(s.other(), "example.net"); got != "" {
		t.Errorf("another sub-account: %q", got)
	}
	s.balanced()
}

// The provider refuses an address that is not known here to be suppressed: it is from then on. A copy that is suppressed is left out.
func TestAnswersSuppress(t *testing.T) {
	t.Parallel()
	s := newStage(t) // whose server does not read the list meanwhile
	s.want("[69 70 71]", 1, s.send("first@example.net")[0])
	waitFor(t, "the first reading", func() bool { return s.synced()[0].Listed == 0 })
	s.list(http.MethodPost, "", entry("Hidden@example.net"))
	s.list(http.MethodPost, "", entry("copy@example.net"))
	s.want("[69 74]", 0, s.send("hidden@example.net")[0])
	if got := s.suppressed(s.api, "hidden@"); got != "0" {
		t.Errorf("after 406: %q", got)
	}
	s.want("[0 1]", 0, s.send("hidden@example.net")[0])

	email := s.FirstEmail()
	email.To[0].Email = "ok@example.net"
	email.To[0].CC = []client.Address{{Email: "copy@example.net"}, {Email: "fine@example.net"}}
	sent, err := s.api.Send(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the copy's suppression", func() bool { return s.suppressed(s.api, "copy@") == "0" })
	s.events(sent[0].MessageID, 3)
	if sent, err = s.api.Send(t.Context(), email); err != nil {
		t.Fatal(err)
	}
	s.events(sent[0].MessageID, 4)
	var box struct {
		Messages []struct{ Cc string }
	}
	s.control(http.MethodGet, "/sandbox/messages?messageId="+sent[0].MessageID, nil, &box)
	if got := box.Messages[0].Cc; strings.Contains(got, "copy@") || !strings.Contains(got, "fine@") {
		t.Errorf("copies: %s", got)
	}
	s.balanced()
}
