package api

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/compare"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// words shows figures as "accepted delivered/hard/soft/spam/opened/clicked median-p95-of away-in".
func (l *comparedLane) words() string {
	text := fmt.Sprintf("%s: %d %d/%d/%d/%d/%d/%d", l.Provider, l.Accepted, l.Delivered.Count, l.HardBounced.Count, l.SoftBounced.Count, l.Spam.Count, l.Opened.Count, l.Clicked.Count)
	if l.Delay != nil && l.Delay.MedianMs != nil {
		text += fmt.Sprintf(" %d-%d-%d", *l.Delay.MedianMs, *l.Delay.P95Ms, l.Delay.Deliveries)
	}
	if l.Failovers != nil {
		text += fmt.Sprintf(" %d-%d", l.Failovers.Away, l.Failovers.In)
	}
	return text
}

func (a answer) compared() (list []string) {
	a.t.Helper()
	var got comparison
	a.ok(http.StatusOK, &got)
	for _, e := range got.Egresses {
		lanes := append([]comparedLane{e.Total}, e.Mailboxes...)
		for i := range lanes {
			list = append(list, fmt.Sprintf("%d/%d %s %s", e.TPSPID, e.IPID, e.Name, lanes[i].words()))
			for _, r := range []comparedRate{lanes[i].Delivered, lanes[i].HardBounced, lanes[i].SoftBounced, lanes[i].Spam, lanes[i].Opened, lanes[i].Clicked} {
				if (r.Rate == nil) != (lanes[i].Accepted < max(r.Count, 1)) || (r.Rate == nil) != (r.Low == nil) || (r.Rate == nil) != (r.High == nil) {
					a.t.Errorf("%s: %+v", lanes[i].words(), r)
				} else if r.Rate != nil && (*r.Low > *r.Rate || *r.High < *r.Rate || *r.Rate != float64(r.Count)/float64(lanes[i].Accepted)) {
					a.t.Errorf("%s: %v to %v is %v", lanes[i].words(), *r.Low, *r.High, *r.Rate)
				}
			}
		}
	}
	return list
}

// fail has a provider that is first in its plan fail all that waits for it: another one takes over.
func (w *world) fail(first, other int32) {
	w.t.Helper()
	now, owner := time.Now(), store.OwnerOf(w.db.Node(), "test")
	claimed, err := w.db.Claim(w.t.Context(), store.Claim{Egress: route.TPSP(first), Limit: 1000, Owner: owner, Now: now, LeaseUntil: now.Add(time.Hour)})
	if err != nil || len(claimed.Jobs) == 0 {
		w.t.Fatalf("%d claimed: %v", len(claimed.Jobs), err)
	}
	var batch []store.Settlement
	for i := range claimed.Jobs {
		batch = append(batch, store.Settlement{Job: &claimed.Jobs[i], Owner: owner, Trigger: lifecycle.Requeue, At: now, Egress: route.TPSP(other), Failed: true,
			Outcome: &provider.Outcome{Class: provider.Transient, Unwritten: true}})
	}
	if err := w.db.Settle(w.t.Context(), batch); err != nil {
		w.t.Fatal(err)
	}
	w.carry(other)
}

func TestComparison(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	path := "/api/v1/account/stat/compare"
	get := func(query string) answer {
		t.Helper()
		return w.asAccount("GET", path+days3(query), nil)
	}
	both, _ := w.makePool(with(pool("both", w.one, w.two), "routingStrategy", 2, "routingMetaData", fmt.Sprintf(`{"TPSP_%d":"100","TPSP_%d":"0"}`, w.one, w.two)))
	var sent []emailResponse
	w.asSub("POST", "/api/v1/subaccount/email/", with(email("moved@gmail.com", "moved@yahoo.com"), "ippool", both.Name)).ok(200, &sent)
	w.fail(w.one, w.two)
	w.happen(w.two, sent[1].MessageID, "moved@yahoo.com", event.Delivered, 500*time.Millisecond, event.Detail{})

	ms := func(d time.Duration) int64 {
		upTo, _ := compare.ReadSpan(compare.SpanOf(d))
		return compare.Histogram{upTo: 1}.Percentile(50)
	}
	one, two := fmt.Sprintf("%d/0 Postmark ", w.one), fmt.Sprintf("%d/0 Postmark Two ", w.two)
	quick, slow, late, half := ms(1500*time.Millisecond), ms(8*time.Second), ms(4*time.Minute), ms(500*time.Millisecond)
	first := []string{
		one + fmt.Sprintf(": 3 2/1/0/0/2/1 %d-%d-2 2-0", quick, slow),
		one + fmt.Sprintf("gmail: 2 1/1/0/0/1/1 %d-%d-1 1-0", quick, quick),
		one + fmt.Sprintf("yahoo: 1 1/0/0/0/1/0 %d-%d-1 1-0", slow, slow),
	}
	second := []string{
		two + fmt.Sprintf(": 3 2/0/0/1/0/0 %d-%d-2 0-2", half, late),
		two + fmt.Sprintf("gmail: 2 1/0/0/1/0/0 %d-%d-1 0-1", late, late),
		two + fmt.Sprintf("yahoo: 1 1/0/0/0/0/0 %d-%d-1 0-1", half, half),
	}
	for query, want := range map[string][]string{
		"":                            append(append([]string{}, first...), second...),
		fmt.Sprint("&tpspId=", w.two): second,
		fmt.Sprint("&tpspId=", w.one, ",", w.two): append(append([]string{}, first...), second...),
		"&tpspId=9999&ipId=1":                     nil,
		"&provider=yahoo":                         {one + fmt.Sprintf(": 1 1/0/0/0/1/0 %d-%d-1 1-0", slow, slow), first[2], two + fmt.Sprintf(": 1 1/0/0/0/0/0 %d-%d-1 0-1", half, half), second[2]},
		fmt.Sprint("&subAccountId=", w.other):     {two + fmt.Sprintf(": 1 1/0/0/1/0/0 %d-%d-1 0-0", late, late), two + fmt.Sprintf("gmail: 1 1/0/0/1/0/0 %d-%d-1 0-0", late, late)},
		"&group=trial":                            {one + ": 3 2/1/0/0/2/1", one + "gmail: 2 1/1/0/0/1/1", one + "yahoo: 1 1/0/0/0/1/0"},
	} {
		if diff := cmp.Diff(want, get(query).compared()); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	var got comparison
	get("").ok(200, &got)
	if r := got.Egresses[0].Total.Delivered; math.Abs(*r.Low-0.2077) > 0.00005 || math.Abs(*r.High-0.9385) > 0.00005 { // 2 of 3
		t.Errorf("%v to %v", *r.Low, *r.High)
	}
	if got.From >= got.To || len(got.From) != 10 {
		t.Errorf("%s to %s", got.From, got.To)
	}
	if diff := cmp.Diff([]string(nil), w.asAccount("GET", path+"?from=2020-01-01&to=2020-12-31", nil).compared()); diff != "" { // 366 days
		t.Error(diff)
	}
	now := time.Now().UTC() // a range in stretches, the last of which begins after the mail
	long := "?to=" + now.AddDate(0, 0, 40).Format(time.DateOnly) + "&from=" + now.AddDate(0, 0, -1).Format(time.DateOnly)
	if diff := cmp.Diff(get("").compared(), w.asAccount("GET", path+long, nil).compared()); diff != "" {
		t.Error(diff)
	}
	for days := range 35 { // each of the days is in one of the stretches, and in one only
		from := now.AddDate(0, 0, -days-1).Format(time.DateOnly)
		if diff := cmp.Diff(get("").compared(), w.asAccount("GET", path+"?from="+from+"&to="+now.AddDate(0, 0, 1).Format(time.DateOnly), nil).compared()); diff != "" {
			t.Errorf("from %s: %s", from, diff)
		}
	}
	for query, field := range map[string]string{"?from=2020-01-01": "to", "?from=2020-01-02&to=2020-01-01": "from", "?from=2019-12-31&to=2020-12-31": "to", days3("&provider=moon"): "provider",
		days3("&tpspId=x"): "tpspId", days3("&ipId=1,-1"): "ipId", days3("&subAccountId=0"): "subAccountId"} {
		w.asAccount("GET", path+query, nil).refused(http.StatusBadRequest, "invalid_parameter", field)
	}
	w.asAccount("DELETE", fmt.Sprint("/api/v1/account/tpsp/", w.two), nil).ok(200, nil)
	if diff := cmp.Diff(second, get(fmt.Sprint("&tpspId=", w.two)).compared()); diff != "" {
		t.Errorf("deleted: %s", diff)
	}
	var v verifyAnswer
	if w.asAccount("GET", verifyPath, nil).ok(200, &v); !v.OK {
		t.Errorf("%+v", v.Differences)
	}
}

// What happened more often than it could, as the messages are of other days, has no rate.
func TestRates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, accepted int64
		has         bool
	}{{0, 0, false}, {1, 0, false}, {2, 1, false}, {0, 1, true}, {1, 1, true}, {3, 10, true}} {
		if r := rateOf(c.n, c.accepted); r.Count != c.n || (r.Rate != nil) != c.has || (r.Low != nil) != c.has || (r.High != nil) != c.has {
			t.Errorf("%d of %d: %+v", c.n, c.accepted, r)
		}
	}
}
