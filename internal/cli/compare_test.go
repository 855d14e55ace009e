package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const comparedAnswer = `{"from":"2026-01-01","to":"2026-01-31","egresses":[
	{"tpspId":1,"ipId":0,"name":"Post\u001bmark","total":{"provider":"","accepted":20,"delivered":{"count":15,"rate":0.75,"low":0.5313,"high":0.8881},
		"hardBounced":{"count":21,"rate":null,"low":null,"high":null},"delay":{"deliveries":15,"medianMs":1535,"p95Ms":242000},"failovers":{"away":2,"in":0}},
		"mailboxes":[{"provider":"yahoo","accepted":1,"delay":{"deliveries":0,"medianMs":null,"p95Ms":null},"failovers":null},{"provider":"gmail","accepted":19,"delay":{"deliveries":1,"medianMs":850,"p95Ms":850}}]},
	{"tpspId":0,"ipId":4,"name":"203.0.113.7","total":{"provider":"","accepted":0},"mailboxes":[{"provider":"gmail","accepted":0}]}]}`

func TestCompare(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/api/v1/account/stat/compare?from=2026-01-01&to=2026-01-31":
			_, _ = io.WriteString(w, comparedAnswer)
		case "/api/v1/account/stat/compare?from=2026-01-01&group=g&ipId=4&provider=gmail&subAccountId=3&to=2026-01-31&tpspId=1%2C2":
			_, _ = io.WriteString(w, `{"from":"2026-01-01","to":"2026-01-31","egresses":[]}`)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	const nothing = " (0) (0) (0) (0) (0) (0)"
	header := "EGRESS NAME MAILBOX ACCEPTED DELIVERED % HARD % SOFT % SPAM % OPENED % CLICKED % MEDIAN 95% AWAY IN"
	for args, want := range map[string][]string{
		"": {header, "TPSP_1 Post mark all 20 75.0 (53.1-88.8) (21) (0) (0) (0) (0) 1.5s 4m2s 2 0", "IP_4 203.0.113.7 all 0" + nothing + " - - - -", ""},
		"--by-mailbox": {header, "TPSP_1 Post mark gmail 19" + nothing + " 850ms 850ms - -", "IP_4 203.0.113.7 gmail 0" + nothing + " - - - -",
			"TPSP_1 Post mark yahoo 1" + nothing + " - - - -", ""},
		"--tpsp 1,2 --ip 4 --mailbox gmail --sub-account 3 --group g": {"Nothing was carried from 2026-01-01 to 2026-01-31.", ""},
	} {
		var out, errs bytes.Buffer
		environ := []string{"POSTYARD_URL=" + server.URL, "POSTYARD_ACCOUNT_KEY=AAAABBBBCCCCDDDDEEEE"}
		code := Main(append([]string{"compare", "--from", "2026-01-01", "--to", "2026-01-31"}, strings.Fields(args)...), &out, &errs, environ)
		var got []string
		for _, line := range strings.Split(out.String(), "\n") {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
		if diff := cmp.Diff(want, got); diff != "" || code != 0 {
			t.Errorf("%s: %d %s%s", args, code, errs.String(), diff)
		}
	}
}
