package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const subAccounts = "/api/v1/account/subaccount/"

// subAccountKeys are those of SendPost's SubAccount schema.
var subAccountKeys = []string{"id", "apiKey", "name", "labels", "smtpAuths", "type", "isPlus", "created", "created_by",
	"updated_by", "blocked", "blocked_at", "block_reason", "hb_exempt", "generate_weekly_report", "handlers"}

func TestSubAccountLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made subAccountAnswer
	a := w.asAccount("POST", subAccounts, `{"name":" Newsletters "}`).ok(http.StatusCreated, &made)
	wantKeys(t, a.body, subAccountKeys...)
	if made.Name != "Newsletters" || len(made.APIKey) != 20 || made.ID == 0 || made.Created == 0 || made.Type != 0 {
		t.Errorf("%+v", made)
	}
	for _, list := range []string{`"labels":[]`, `"smtpAuths":[]`, `"handlers":[]`, `"created_by":null`, `"blocked_at":0`} {
		if !strings.Contains(string(a.body), list) {
			t.Errorf("no %s in %s", list, a.body)
		}
	}
	path := fmt.Sprintf("%s%d", subAccounts, made.ID)
	var got subAccountAnswer
	if w.asAccount("GET", path, nil).ok(200, &got); got.APIKey != made.APIKey {
		t.Errorf("%+v", got)
	}
	if w.asAccount("PUT", path, `{"name":"Letters"}`).ok(200, &got); got.Name != "Letters" || got.APIKey != made.APIKey {
		t.Errorf("%+v", got)
	}
	// Its key works, until it is deleted.
	key := map[string]string{"X-SubAccount-ApiKey": made.APIKey}
	w.call("POST", sendPath, key, `{}`).refused(422, "missing_recipients", "to")
	var deleted deletedAnswer
	a = w.asAccount("DELETE", path, nil).ok(200, &deleted)
	wantKeys(t, a.body, "id", "message")
	if deleted.ID != made.ID || deleted.Message != "Sub-Account (Letters) has been deleted successfully." {
		t.Errorf("%+v", deleted)
	}
	w.call("POST", sendPath, key, `{}`).refused(401, "invalid_api_key", "X-SubAccount-ApiKey")
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		w.asAccount(method, path, `{"name":"again"}`).refused(404, "not_found", "")
	}
	w.asAccount("POST", subAccounts, `{"name":"Letters"}`).ok(http.StatusCreated, nil) // the name is free again
}

func TestSubAccountList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"Alpha", "beta", "ALPHABET", "Gamma"} {
		w.asAccount("POST", subAccounts, map[string]string{"name": name}).ok(http.StatusCreated, nil)
	}
	for query, want := range map[string]string{
		"":                           "default Alpha beta ALPHABET Gamma",
		"?search=alpha":              "Alpha ALPHABET",
		"?search=%20":                "default Alpha beta ALPHABET Gamma",
		"?limit=2":                   "default Alpha",
		"?limit=2&offset=3":          "ALPHABET Gamma",
		"?offset=4":                  "Gamma",
		"?offset=99":                 "",
		"?search=a&limit=1&offset=1": "Alpha",
	} {
		var got []json.RawMessage
		w.asAccount("GET", subAccounts+query, nil).ok(200, &got)
		var names []string
		for _, one := range got {
			var sub subAccountAnswer
			if err := json.Unmarshal(one, &sub); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, one, subAccountKeys...)
			names = append(names, sub.Name)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%q: %q, want %q", query, names, want)
		}
	}
	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=-1": "limit", "?limit=many": "limit", "?offset=-1": "offset", "?offset=1e3": "offset",
	} {
		w.asAccount("GET", subAccounts+query, nil).refused(400, "invalid_parameter", field)
	}
}

func TestSubAccountRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.asAccount("POST", subAccounts, `{"name":"Alpha"}`).ok(http.StatusCreated, nil)
	for body, want := range map[string]struct {
		status      int
		code, field string
	}{
		`{"name":"Alpha"}`:    {403, "name_taken", "name"},
		`{"name":"default"}`:  {403, "name_taken", "name"},
		`{"name":""}`:         {422, "missing_name", "name"},
		`{}`:                  {422, "missing_name", "name"},
		`{"name":"a\u0007b"}`: {422, "invalid_name", "name"},
		`{"name":"` + strings.Repeat("é", 256) + `"}`: {422, "name_too_long", "name"},
		`{"name":7}`: {422, "wrong_type", "name"},
		`null`:       {422, "wrong_type", ""},
		``:           {422, "missing_body", ""},
		`{"name":`:   {422, "malformed_json", ""},
	} {
		w.asAccount("POST", subAccounts, body).refused(want.status, want.code, want.field)
	}
	w.asAccount("POST", subAccounts, `{"name":"`+strings.Repeat("é", 255)+`"}`).ok(http.StatusCreated, nil)
	own := fmt.Sprintf("%s%d", subAccounts, w.subAccount.ID)
	w.asAccount("PUT", own, `{"name":"Alpha"}`).refused(403, "name_taken", "name")
	w.asAccount("PUT", own, `{"name":"default"}`).ok(200, nil) // unchanged is no conflict
	w.asAccount("DELETE", own, nil).refused(406, "default_sub_account", "")
	for _, id := range []string{"0", "-1", "x", "2147483648", "999", "1.5", "%31%2f"} {
		w.asAccount("GET", subAccounts+id, nil).refused(404, "not_found", "")
		w.asAccount("PUT", subAccounts+id, `{"name":""}`).refused(404, "not_found", "")
	}
}
