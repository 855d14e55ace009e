package api

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// examined asks the doctor, and returns its checks by name.
func (w *world) examined(query string) map[string]checkAnswer {
	w.t.Helper()
	var list []checkAnswer
	w.asAccount("GET", "/api/v1/account/doctor"+query, nil).ok(200, &list)
	got := map[string]checkAnswer{}
	for _, c := range list {
		if was, told := got[c.Check]; !told || was.Status == "ok" {
			got[c.Check] = c
		}
	}
	return got
}

func TestDoctorWithoutProviders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.examined("")
	if c := got["providers"]; len(got) != 1 || c.Status != "fail" || !strings.HasPrefix(c.Fix, "POST /api/v1/account/tpsp with") {
		t.Errorf("%v", got)
	}
}

func TestDoctorIsAskedWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.connect("Postmark", "outbound").ID
	w.asAccount("GET", "/api/v1/account/doctor?tpspId=x", nil).refused(400, "invalid_parameter", "tpspId")
	w.asAccount("GET", fmt.Sprintf("/api/v1/account/doctor?tpspId=%d", id+1), nil).refused(404, "not_found", "")
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	w.call("GET", fmt.Sprintf("/api/v1/account/doctor/?tpspId=%d", id), stranger, nil).refused(404, "not_found", "")
	if a := w.call("GET", "/api/v1/account/doctor", stranger, nil); a.status != 200 || strings.Contains(string(a.body), "Postmark") {
		t.Errorf("a stranger sees %s", a.body)
	}
	got := w.examined(fmt.Sprintf("?tpspId=%d&ippool=%%20postmark-pool", id))
	if c := got["token"]; c.TPSPID != id || c.TPSP != "Postmark" || c.Status != "ok" || c.Fix != "" {
		t.Errorf("%+v", c)
	}
	if c := got["pool"]; c.Status != "warn" || !strings.Contains(c.Message, `"postmark-pool"`) {
		t.Errorf("%+v", c)
	}
}

// What is due leaves at once or has a reason; when nobody takes it, the server does not work.
func TestDoctorSeesStuckMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	id := w.mail("ana@example.com", "bo@example.com")[0]
	if c := w.examined("")["waiting"]; c.Status != "ok" || !strings.Contains(c.Message, "2 because they are about to leave") {
		t.Errorf("at once: %+v", c)
	}
	w.ahead.Store(int64(3 * time.Minute))
	if c := w.examined("")["waiting"]; c.Status != "warn" || !strings.Contains(c.Message, "wait for their turn") {
		t.Errorf("after some minutes: %+v", c)
	}
	w.ahead.Store(int64(10 * time.Minute))
	got := w.examined("")
	if c := got["waiting"]; c.Status != "fail" || !strings.Contains(c.Message, "stuck") || !strings.Contains(c.Fix, "postyard message ") || len(id) == 0 {
		t.Errorf("after many: %+v", c)
	}
	if c := got["clock"]; c.Status != "warn" || !strings.Contains(c.Message, "10m0s ahead of") && !strings.Contains(c.Message, "10m1s ahead of") {
		t.Errorf("%+v", c)
	}
	w.asAccount("POST", fmt.Sprintf("/api/v1/account/subaccount/%d/pause", w.subAccount.ID), nil).ok(200, nil)
	if c := w.examined("")["waiting"]; c.Status != "warn" || !strings.Contains(c.Message, `the sub-account "default" is paused`) || c.Fix != "postyard resume --sub-account default" {
		t.Errorf("paused: %+v", c)
	}
}
