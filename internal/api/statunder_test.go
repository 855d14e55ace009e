package api

import (
	"fmt"
	"slices"
	"testing"
)

// withChildren adds what those under a sub-account sent, on every level, as the tree does; what was deleted counts on.
func TestStatisticsWithChildren(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	top, _ := w.newSub("top")
	mid, midPath := w.newSub("mid")
	low, lowPath := w.newSub("low")
	w.asAccount("PUT", midPath+"/hierarchy", map[string]any{"parentId": top.ID}).ok(200, nil)
	w.asAccount("PUT", lowPath+"/hierarchy", map[string]any{"parentId": mid.ID}).ok(200, nil)
	for key, to := range map[string][]string{top.APIKey: {"a@gmail.com"}, mid.APIKey: {"b@gmail.com", "c@yahoo.com"}, low.APIKey: {"d@yahoo.com"}} {
		w.call("POST", sendPath, map[string]string{"X-SubAccount-ApiKey": key}, with(email(to...), "groups", []string{"g"})).ok(200, nil)
	}
	w.carry(made.ID)
	w.asAccount("DELETE", lowPath, nil).ok(200, nil)

	for id, want := range map[int32][2]int64{top.ID: {1, 4}, mid.ID: {2, 3}, low.ID: {1, 1}} {
		path := fmt.Sprint("/api/v1/account/subaccount/stat/", id)
		for i, more := range []string{"", "&withChildren=true"} {
			var total statCounters
			wantKeys(t, w.asAccount("GET", path+"/aggregate"+days3(more), nil).ok(200, &total).body, "processed", "sent", "delivered", "dropped", "hardBounced", "softBounced",
				"opened", "clicked", "unsubscribed", "spam", "smtpDropped")
			var daily []dailyStat
			w.asAccount("GET", path+days3(more), nil).ok(200, &daily)
			var group statCounters
			w.asAccount("GET", path+"/group"+days3(more, "&group=g"), nil).ok(200, &group)
			if total.Processed != want[i] || total.Sent != want[i] || len(daily) != 1 || daily[0].Stat != total || group != total {
				t.Errorf("%d%s: %+v, %+v, %+v, want %d", id, more, total, daily, group, want[i])
			}
		}
	}
	path := fmt.Sprint("/api/v1/account/subaccount/stat/", top.ID)
	w.asAccount("GET", path+"/aggregate/provider"+days3("&withChildren=true"), nil).wantRows("provider sent", "gmail 2", "yahoo 2")
	w.asAccount("GET", path+"/aggregate/provider"+days3("&withChildren=false"), nil).wantRows("provider sent", "gmail 1")
	w.asAccount("GET", path+days3("&withChildren=perhaps"), nil).refused(400, "invalid_parameter", "withChildren")
	var tree treeAnswer
	w.asAccount("GET", "/api/v1/account/subaccount/tree", nil).ok(200, &tree)
	at := slices.IndexFunc(tree.SubAccounts, func(b branchAnswer) bool { return b.ID == top.ID })
	if at < 0 || tree.SubAccounts[at].WithChildren.Processed != 4 {
		t.Errorf("the tree has %+v", tree)
	}
}
