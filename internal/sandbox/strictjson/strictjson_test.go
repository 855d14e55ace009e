package strictjson_test

import (
	"regexp"
	"testing"

	"postyard/internal/sandbox/strictjson"
)

type sample struct {
	Name   string  `json:"name"`
	Count  int     `json:"count"`
	Chance float64 `json:"chance,omitempty"`
	On     bool    `json:"on"`
	Inner  struct {
		List []string `json:"list"`
		Size *uint8   `json:"size"`
	} `json:"inner"`
	hidden int
}

func TestErrorsNameFieldAndRule(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``:                           "it is empty",
		`{"name":`:                   "the JSON ends early",
		`{"name" 5}`:                 "this is not JSON, at byte 9: invalid character '5' after object key",
		`[]`:                         "it must be an object, got a list",
		`"x"`:                        "it must be an object, got a string",
		`{"name":5}`:                 "name must be a string, got a number",
		`{"name":{}}`:                "name must be a string, got an object",
		`{"count":"5"}`:              "count must be a whole number, got a string",
		`{"count":1.5}`:              "count must be a whole number, got 1.5",
		`{"count":1e999}`:            "count must be a whole number, got 1e999",
		`{"chance":true}`:            "chance must be a number, got true or false",
		`{"on":"yes"}`:               "on must be true or false, got a string",
		`{"inner":{"list":5}}`:       "inner.list must be a list, got a number",
		`{"inner":{"size":-1}}`:      "inner.size must be a whole number from 0, got -1",
		`{"colour":"red"}`:           `unknown field "colour"; known are name, count, chance, on, inner`,
		`{"name":"a"} {"name":"b"}`:  "something follows the JSON value, at byte 14",
		`{"name":"a","count":3}`:     "",
		" {\"name\":\"a\"}\n\t ":     "",
		`null`:                       "",
		`{"inner":{"list":["a"]}}  `: "",
	} {
		got := ""
		if err := strictjson.Decode([]byte(raw), &sample{}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
	var list []sample
	if err := strictjson.Decode([]byte(`[{"who":1}]`), &list); err == nil || err.Error() != `unknown field "who"; known are name, count, chance, on, inner` {
		t.Errorf("in a list: %v", err)
	}
	kept := sample{Name: "kept", hidden: 1}
	if err := strictjson.Decode([]byte(`{"count":2}`), &kept); err != nil || kept.Name != "kept" || kept.Count != 2 || kept.hidden != 1 {
		t.Errorf("%+v %v", kept, err)
	}
}

// No input panics, and none gets an answer in the program's own words.
func FuzzDecode(f *testing.F) {
	f.Add(`{"count":"5"}`)
	f.Add(`[1]`)
	f.Add(`{"inner":{"list":[null,{}]}}`)
	own := regexp.MustCompile(`Go |json:|sample|strictjson`)
	f.Fuzz(func(t *testing.T, raw string) {
		if err := strictjson.Decode([]byte(raw), &sample{}); err != nil && own.MatchString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(err.Error(), "")) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
