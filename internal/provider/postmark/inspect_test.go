package postmark_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postyard/internal/provider"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

func (y *yard) faults() string {
	y.t.Helper()
	faults, err := y.adapter.InspectHook(y.t.Context(), y.conn, y.hook)
	if err != nil {
		y.t.Fatal(err)
	}
	text := strings.Join(faults, "; ")
	if strings.Contains(text, y.hook.Credentials.Password.Reveal()) || strings.Contains(text, "hidden") {
		y.t.Errorf("a password is shown: %s", text)
	}
	return text
}

// Whatever is changed of a webhook behind our back is named, and nothing else; Register puts it right.
func TestInspectHook(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	if got := y.faults(); got != `there is none of ours on the message stream "outbound"` {
		t.Errorf("before it is registered: %q", got)
	}
	register := func() {
		t.Helper()
		ref, _, err := y.adapter.Register(t.Context(), y.conn, y.hook)
		if err != nil {
			t.Fatal(err)
		}
		y.hook.Ref = ref
		if got := y.faults(); got != "" {
			t.Errorf("registered: %q", got)
		}
	}
	register()
	for want, change := range map[string]map[string]any{
		`it calls "http://elsewhere.test/hook" instead of "` + y.hook.URL + `"`: {"Url": "http://me:hidden@elsewhere.test/hook?token=hidden"},
		"its credentials (HttpAuth) are not ours":                               {"HttpAuth": map[string]string{"Username": "postyard", "Password": "hidden"}},
		"its trigger Open is off":                                               {"Triggers": map[string]any{"Open": map[string]bool{"Enabled": false}}},
		"its trigger Click is off":                                              {"Triggers": map[string]any{"Click": map[string]bool{"Enabled": false}}},
		"its trigger Delivery is off":                                           {"Triggers": map[string]any{"Delivery": map[string]bool{"Enabled": false}}},
		"its trigger Bounce is off":                                             {"Triggers": map[string]any{"Bounce": map[string]bool{"Enabled": false}}},
		"its trigger SpamComplaint is off":                                      {"Triggers": map[string]any{"SpamComplaint": map[string]bool{"Enabled": false}}},
		"its trigger SubscriptionChange is on":                                  {"Triggers": map[string]any{"SubscriptionChange": map[string]bool{"Enabled": true}}},
		"its trigger Open.PostFirstOpenOnly is on":                              {"Triggers": map[string]any{"Open": map[string]bool{"PostFirstOpenOnly": true}}},
		"its trigger Bounce.IncludeContent is on":                               {"Triggers": map[string]any{"Bounce": map[string]bool{"IncludeContent": true}}},
	} {
		change["Verify"] = false
		y.api(http.MethodPut, "/webhooks/"+y.hook.Ref, change)
		if got := y.faults(); !strings.Contains(got, want) || len(got) > len(want)+len("; it is unverified, so it sends no events") {
			t.Errorf("%v: %q, want %q", change, got, want)
		}
		register()
	}
}

func TestInspectTemplate(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.api(http.MethodPost, "/templates", map[string]any{"Name": "Frame", "Alias": "frame", "TemplateType": "Layout", "HtmlBody": "<b>{{{ @content }}}</b>",
		"TextBody": "{{{ @content }}}"})
	for alias, want := range map[string]provider.TemplateStanding{
		sandbox.DemoTemplateAlias: provider.TemplateReady, strings.ToUpper(sandbox.DemoTemplateAlias): provider.TemplateReady,
		"frame": provider.TemplateLayout, "nothing": provider.TemplateMissing, "": provider.TemplateMissing, "validate": provider.TemplateMissing,
	} {
		if got, err := y.adapter.InspectTemplate(t.Context(), y.conn, alias); err != nil || got != want {
			t.Errorf("template %q: %d, %v; want %d", alias, got, err, want)
		}
	}
}

func TestClockIsTheProviders(t *testing.T) {
	t.Parallel()
	then := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", then.Format(http.TimeFormat))
		w.WriteHeader(http.StatusUnauthorized)
	})
	if at, err := newAdapter(t).Clock(t.Context(), connection(url)); err != nil || !at.Equal(then) {
		t.Errorf("%s, %v", at, err)
	}
	timeless := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil })
	_, err := newAdapter(t).Clock(t.Context(), connection(timeless))
	if e := setupError(t, err); e.Code != "unexpected_answer" {
		t.Errorf("%+v", e)
	}
}

func TestSampleIsOne(t *testing.T) {
	t.Parallel()
	a, c := newAdapter(t), provider.Credentials{Username: "postyard", Password: secret.NewString("p4ssw0rd")}
	h, body := a.Sample(provider.Connection{Stream: "outbound"}, c)
	if ok, err := a.Authentic(t.Context(), provider.Connection{}, provider.Hook{Credentials: c}, provider.Delivery{Header: h}); !ok || err != nil {
		t.Errorf("it is not authentic: %v", err)
	}
	reports, err := a.Parse(h, body)
	if err != nil || len(reports) == 0 {
		t.Fatalf("%v, %v", reports, err)
	}
	for _, r := range reports {
		if !r.Sample {
			t.Errorf("%+v would be kept", r)
		}
	}
}
