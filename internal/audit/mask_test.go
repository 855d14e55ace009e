package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBody(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"name":"a","key":"k","secret":"s","limits":{"perHour":7}}`: `{"key":"[hidden]","limits":{"perHour":7},"name":"a","secret":"[hidden]"}`,
		`{"oauthToken":{"a":1},"Password":["x"],"apiKey":7}`:         `{"Password":"[hidden]","apiKey":"[hidden]","oauthToken":"[hidden]"}`,
		`{"key":"","secret":null}`:                                   `{"key":"","secret":null}`,
		`{"a":[{"deep":{"clientSecret":"x"}}]}`:                      `{"a":[{"deep":{"clientSecret":"[hidden]"}}]}`,
		`{"url":"https://me:pw@example.com/a?token=x&b=1"}`:          `{"url":"https://[hidden]@example.com/a?token=[hidden]&b=[hidden]"}`,
		`{"url":"https://example.com/a?b=1"}`:                        `{"url":"https://example.com/a?b=[hidden]"}`,
		`{"url":"https://me:p%zz@example.com"}`:                      `{"url":"[hidden]"}`,
		`{"n":12345678901234567890,"html":"<b>"}`:                    `{"html":"<b>","n":12345678901234567890}`,
		`{}`: `{}`,
	} {
		if got := string(Body([]byte(in))); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	for _, in := range []string{``, `[]`, `"x"`, `null`, `{`, "\x00"} {
		if got := Body([]byte(in)); got != nil {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestLongBodies(t *testing.T) {
	t.Parallel()
	list, err := json.Marshal(map[string]any{"list": make([]int, 50), "text": strings.Repeat("ä", 2000)})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		List []any
		Text string
	}
	if err := json.Unmarshal(Body(list), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.List) != maxItems+1 || got.List[maxItems] != "... and 30 more" || !strings.HasSuffix(got.Text, "ä... (4000 bytes)") {
		t.Errorf("cut: %v, %q", got.List, got.Text)
	}
	many := map[string]string{"name": "kept"}
	for i := range 500 {
		many[fmt.Sprintf("field%03d", i)] = strings.Repeat("x", 100)
	}
	whole, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	kept := Body(whole)
	if len(kept) > maxBody || !strings.Contains(string(kept), `"name":"kept"`) || !strings.Contains(string(kept), `"...":"and `) {
		t.Errorf("%d bytes: %.300s", len(kept), kept)
	}
}

// Whatever a body is, what is kept of it is a small JSON object in which no secret stands.
func TestBodiesAreSafe(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	names := rapid.SampledFrom([]string{"key", "Secret", "password", "oauthToken", "x_api_key", "authorization"})
	rapid.Check(t, func(t *rapid.T) {
		var value any = canary
		for range rapid.IntRange(0, 3).Draw(t, "depth") {
			if rapid.Bool().Draw(t, "list") {
				value = []any{value}
			} else {
				value = map[string]any{rapid.String().Draw(t, "name"): value}
			}
		}
		object := map[string]any{names.Draw(t, "secret"): value}
		for i := range rapid.IntRange(0, 40).Draw(t, "more") {
			object[fmt.Sprint(i, rapid.String().Draw(t, "key"))] = strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(0, 200).Draw(t, "times"))
		}
		body, err := json.Marshal(map[string]any{"outer": object})
		if err != nil {
			t.Fatal(err)
		}
		kept := Body(body)
		if strings.Contains(string(kept), canary) || len(kept) > maxBody || !json.Valid(kept) {
			t.Fatalf("%d bytes: %s", len(kept), kept)
		}
	})
}

func TestBefore(t *testing.T) {
	t.Parallel()
	was := []byte(`{"name":"old","active":true,"limits":{"perHour":1.0},"key":"****","url":"https://a:b@example.com","other":1}`)
	got := string(Before(was, []byte(`{"name":"new","active":true,"key":"k","url":"https://c","limits":{"perHour":2},"unknown":1}`)))
	if diff := cmp.Diff(`{"limits":{"perHour":1.0},"name":"old","url":"https://[hidden]@example.com"}`, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range [][2]string{{`{"a":1}`, `{"a":1}`}, {`{"a":1}`, ``}, {``, `{"a":1}`}, {`[]`, `[]`}} {
		if got := Before([]byte(c[0]), []byte(c[1])); got != nil {
			t.Errorf("%q: %s", c, got)
		}
	}
}
