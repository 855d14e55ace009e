package record

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func testRedactor() *redactor {
	r := newRedactor()
	r.marker = "/postyard-record/abc/"
	r.hide("Tok-123-Secret")
	r.hideCredentials(credentials{"record-user", "pass word"})
	r.name("Jane.Doe+x@Firm.test", "recipient@redacted.invalid")
	return r
}

func TestRedactBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"order and numbers stay": {`{"b":1.50,"a":[true,null,12345678901234567890]}`, `{"b":1.50,"a":[true,null,12345678901234567890]}`},
		"keys":                   {`{"ApiTokens":["x"],"HttpAuth":{"Username":"u"},"HttpHeaders":[],"password":null}`, `{"ApiTokens":"[redacted]","HttpAuth":"[redacted]","HttpHeaders":[],"password":null}`},
		"the token, in any case": {`{"Message":"tok-123-SECRET is bad"}`, `{"Message":"[redacted] is bad"}`},
		"escaped":                {`{"To":"jane.doe\u002bx\u0040firm.test"}`, `{"To":"recipient@redacted.invalid"}`},
		"in a list of addresses": {`{"To":"<JANE.DOE+X@firm.test>, a@b.test, A@B.test, c@d.test"}`,
			`{"To":"<recipient@redacted.invalid>, address-1@redacted.invalid, address-1@redacted.invalid, address-2@redacted.invalid"}`},
		"the domain":     {`{"Message":"The domain is 'firm.test'."}`, `{"Message":"The domain is 'domain.redacted.invalid'."}`},
		"as a key":       {`{"jane.doe+x@firm.test":1}`, `{"recipient@redacted.invalid":1}`},
		"samples":        {`{"Email":"john@example.com","To":"x@blackhole.postmarkapp.com"}`, `{"Email":"john@example.com","To":"x@blackhole.postmarkapp.com"}`},
		"foreign URL":    {`{"Url":"https://u:p@other.test/"}`, `{"Url":"[redacted]"}`},
		"our URL":        {`{"Url":"https://hooks.test/postyard-record/abc/x"}`, `{"Url":"https://hooks.test/postyard-record/abc/x"}`},
		"what MX said":   {`{"Details":"250 jane.doe is here"}`, `{"Details":"[redacted]"}`},
		"no JSON":        {`<b>jane.doe&#43;x&#64;firm.test</b>`, `"<b>recipient@redacted.invalid</b>"`},
		"no whole JSON":  {`{"To":"jane.doe+x\u0040firm.test`, `"{\"To\":\"recipient@redacted.invalid"`},
		"in a query":     {`{"u":"?e=jane.doe%2Bx%40firm.test o=z%40y.test"}`, `{"u":"?e=recipient@redacted.invalid address-1@redacted.invalid"}`},
		"as credentials": {`{"h":"Basic cmVjb3JkLXVzZXI6cGFzcyB3b3Jk"}`, `{"h":"Basic [redacted]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := marshal(testRedactor().body([]byte(test.body), false))
			if err != nil || got != test.want {
				t.Errorf("got  %s\nwant %s %v", got, test.want, err)
			}
		})
	}
	if got := testRedactor().body([]byte(`{"To":"someb`), true); got != "[not shown: it is not whole]" {
		t.Errorf("a cut body: %v", got)
	}
}

func marshal(v any) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return strings.TrimSuffix(out.String(), "\n"), err
}

// Wherever a secret stands in a JSON text, it does not stand in what is written.
func TestNoSecretPasses(t *testing.T) {
	t.Parallel()
	secrets := []string{"Tok-123-Secret", "record-user", "pass word", "Jane.Doe+x@Firm.test"}
	rapid.Check(t, func(t *rapid.T) {
		r := testRedactor()
		text := rapid.String().Draw(t, "before") + rapid.SampledFrom(secrets).Draw(t, "secret") + rapid.StringMatching(`[ -~é]{0,8}`).Draw(t, "after")
		if rapid.Bool().Draw(t, "upper") {
			text = strings.ToUpper(text)
		}
		body, err := json.Marshal(map[string]any{"A": []any{text, map[string]string{text: text}}})
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "cut") {
			body = body[:len(body)-rapid.IntRange(1, 3).Draw(t, "by")]
		}
		got, err := marshal(r.body(body, false))
		if err != nil {
			t.Fatal(err)
		}
		if clean := r.text(got); r.leak([]byte(clean)) {
			t.Fatalf("%s", clean)
		}
	})
}

// A body of anybody's is taken apart or left out, and what comes of it is JSON.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"Url":"x"}]}`, `[`, `"\ud800"`, `{"ApiTokens":{"x":[1]}}`, "<html>", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := testRedactor()
		got, err := marshal(r.body(raw, false))
		if err != nil || !json.Valid([]byte(got)) {
			t.Fatalf("%q: %s %v", raw, got, err)
		}
		if clean := r.text(got); r.leak([]byte(clean)) || !json.Valid([]byte(clean)) {
			t.Fatalf("%q: %s", raw, clean)
		}
		_ = shape(raw)
	})
}
