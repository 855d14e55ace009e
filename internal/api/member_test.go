package api

import (
	"fmt"
	"strings"
	"testing"
)

const memberPath = "/api/v1/account/member"

func TestMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var list []memberAnswer
	w.asAccount("GET", memberPath, nil).ok(200, &list)
	if list == nil || len(list) != 0 {
		t.Fatalf("fresh: %v", list)
	}
	var made, again, changed memberAnswer
	w.asAccount("POST", memberPath, map[string]any{"email": " Monica@Raviga.Example ", "name": "Monica", "role": "admin"}).ok(200, &made)
	if made.Email != "monica@raviga.example" || made.Role != "admin" || made.Joined || made.InvitedUntil == 0 || made.LastSeen != 0 {
		t.Errorf("invited: %+v", made)
	}
	if !strings.HasPrefix(made.InvitationLink, w.url+"/join#") {
		t.Errorf("invitation %q", made.InvitationLink)
	}
	one := fmt.Sprintf("%s/%d", memberPath, made.ID)
	w.asAccount("POST", one+"/invitation", nil).ok(200, &again)
	if again.ID != made.ID || again.InvitationLink == made.InvitationLink {
		t.Errorf("invited again: %+v", again)
	}
	w.asAccount("PUT", one, map[string]any{"role": "viewer"}).ok(200, &changed)
	w.asAccount("PUT", one, map[string]any{"name": "Monica Hall"}).ok(200, &changed)
	if changed.Role != "viewer" || changed.Name != "Monica Hall" || changed.InvitationLink != "" {
		t.Errorf("changed: %+v", changed)
	}
	w.asAccount("GET", memberPath, nil).ok(200, &list)
	if len(list) != 1 || list[0] != changed {
		t.Errorf("listed: %+v", list)
	}
	for _, c := range []struct {
		body        map[string]any
		status      int
		code, field string
	}{
		{map[string]any{"email": "MONICA@raviga.example", "name": "x", "role": "viewer"}, 403, "email_taken", "email"},
		{map[string]any{"email": "nobody", "name": "x", "role": "viewer"}, 422, "invalid_email", "email"},
		{map[string]any{"email": "a@b.example", "name": "a\x1b[31mb", "role": "viewer"}, 422, "invalid_name", "name"},
		{map[string]any{"email": "a@b.example", "name": " ", "role": "viewer"}, 422, "missing_name", "name"},
		{map[string]any{"email": "a@b.example", "name": "x", "role": "god"}, 422, "invalid_role", "role"},
		{map[string]any{"email": "a@b.example", "name": "x"}, 422, "invalid_role", "role"},
	} {
		w.asAccount("POST", memberPath, c.body).refused(c.status, c.code, c.field)
	}
	w.asAccount("PUT", one, map[string]any{"role": ""}).refused(422, "invalid_role", "role")
	w.asAccount("DELETE", one, nil).ok(200, nil)
	w.asAccount("DELETE", one, nil).refused(404, "not_found", "")
	w.asAccount("PUT", one, map[string]any{"role": "viewer"}).refused(404, "not_found", "")
	w.asAccount("POST", one+"/invitation", nil).refused(404, "not_found", "")
}
