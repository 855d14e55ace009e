package api

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"postyard/internal/account"
)

func (w *world) label(name string) labelAnswer {
	w.t.Helper()
	var got labelAnswer
	a := w.asAccount("POST", "/api/v1/account/label/", map[string]string{"name": name, "color": "#1f77b4"}).ok(200, &got)
	wantKeys(w.t, a.body, "id", "name", "color", "created")
	return got
}

// labelled returns the names of the labels that an answer's sub-account has.
func (a answer) labelled() []string {
	a.t.Helper()
	var got subAccountAnswer
	a.ok(a.status, &got)
	names := []string{}
	for _, l := range got.Labels {
		names = append(names, l.Name)
	}
	return names
}

func TestLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	vip, trial := w.label(" VIP "), w.label("on trial")
	if vip.Name != "VIP" || vip.Color != "#1f77b4" || vip.Created == 0 || vip.ID == trial.ID {
		t.Errorf("%+v", vip)
	}
	const path = "/api/v1/account/label"
	var list []labelAnswer
	for query, want := range map[string]int{"": 2, "?search=TRIAL": 1, "?limit=1": 1, "?offset=2": 0} {
		if w.asAccount("GET", path+query, nil).ok(200, &list); len(list) != want {
			t.Errorf("%q: %+v", query, list)
		}
	}
	if a := w.asAccount("GET", path+"/count?search=vip", nil).ok(200, nil); string(a.body) != "{\"count\":1}\n" {
		t.Errorf("%s", a.body)
	}
	w.asAccount("POST", path, map[string]string{"name": "VIP"}).refused(http.StatusForbidden, "name_taken", "name")
	w.asAccount("POST", path, "{}").refused(422, "missing_name", "name")
	w.asAccount("POST", path, map[string]string{"name": "x", "color": "a\x1bb"}).refused(422, "invalid_color", "color")
	one := fmt.Sprintf("%s/%d", path, trial.ID)
	w.asAccount("PUT", one, map[string]string{"name": "VIP"}).refused(http.StatusForbidden, "name_taken", "name")
	var got labelAnswer
	if w.asAccount("PUT", one, map[string]string{"color": "red"}).ok(200, &got); got.Name != "on trial" || got.Color != "red" {
		t.Errorf("%+v", got)
	}
	if w.asAccount("GET", one+"/", nil).ok(200, &got); got.Color != "red" {
		t.Errorf("%+v", got)
	}

	sub := fmt.Sprintf("/api/v1/account/subaccount/%d", w.subAccount.ID)
	for body, want := range map[string][]string{
		fmt.Sprintf(`{"labels":[%d,"VIP"]}`, trial.ID):                              {"VIP", "on trial"},
		`{"labels":[{"name":"VIP"},"VIP"]}`:                                         {"VIP"},
		fmt.Sprintf(`{"name":"default","labels":[{"id":%d,"name":"x"}]}`, trial.ID): {"on trial"},
		`{"labels":[]}`: {},
	} {
		if names := w.asAccount("PUT", sub, body).ok(200, nil).labelled(); !slices.Equal(names, want) {
			t.Errorf("%s: %v", body, names)
		}
	}
	w.asAccount("PUT", sub, `{"labels":["VIP","gone"]}`).refused(422, "unknown_label", "labels[1]")
	w.asAccount("PUT", sub, `{"labels":[4711]}`).refused(422, "unknown_label", "labels[0]")
	w.asAccount("PUT", sub, `{"labels":[true]}`).refused(422, "wrong_type", "labels")
	w.asAccount("PUT", sub, `{}`).refused(422, "missing_name", "name")
	w.asAccount("PUT", sub, `{"labels":null}`).refused(422, "missing_name", "name")
	w.asAccount("PUT", sub, `{"labels":["VIP"]}`).ok(200, nil)
	if names := w.asAccount("PUT", sub, `{"name":"renamed"}`).ok(200, nil).labelled(); !slices.Equal(names, []string{"VIP"}) {
		t.Errorf("renamed: %v", names)
	}
	if names := w.asAccount("POST", "/api/v1/account/subaccount/", `{"name":"new","labels":["on trial"]}`).ok(201, nil).labelled(); !slices.Equal(names, []string{"on trial"}) {
		t.Errorf("new: %v", names)
	}
	a := w.asAccount("DELETE", fmt.Sprintf("%s/%d", path, vip.ID), nil).ok(200, nil)
	if want := fmt.Sprintf("{\"id\":%d,\"message\":\"Label (VIP) has been deleted successfully\"}\n", vip.ID); string(a.body) != want {
		t.Errorf("%s", a.body)
	}
	if names := w.asAccount("GET", sub, nil).ok(200, nil).labelled(); len(names) != 0 {
		t.Errorf("after the deletion: %v", names)
	}
	w.asAccount("DELETE", fmt.Sprintf("%s/%d", path, vip.ID), nil).refused(http.StatusNotFound, "not_found", "")
	many := make([]string, account.MaxLabelsOfSub+1)
	for i := range many {
		many[i] = w.label(fmt.Sprint("many ", i)).Name
	}
	w.asAccount("PUT", sub, map[string]any{"labels": many}).refused(422, "too_many_labels", "labels")
}
