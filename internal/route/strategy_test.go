package route

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	members := []Egress{5, 6, -3}
	for name, test := range map[string]struct {
		strategy Strategy
		text     string
		code     string
		words    string
	}{
		"round robin":               {0, "", "", ""},
		"round robin, empty":        {0, "{}", "", ""},
		"round robin, blank":        {0, " { } ", "", ""},
		"round robin with volumes":  {0, `{"TPSP_5":"1"}`, "invalid_metadata", `"TPSP_5"`},
		"no strategy":               {4, "", "unknown_strategy", "0 (round robin)"},
		"a strategy below all":      {-1, "", "unknown_strategy", "0 (round robin)"},
		"by mailbox provider":       {1, `{"0":"[\"TPSP_5\",\"IP_3\"]","26":"[\"TPSP_6\"]","others":"[\"TPSP_6\"]"}`, "", ""},
		"empty":                     {1, "{}", "missing_metadata", "strategy 1"},
		"absent":                    {3, "", "missing_metadata", "strategy 3"},
		"a provider beyond":         {1, `{"27":"[\"TPSP_5\"]"}`, "unknown_mailbox_provider", `"27"`},
		"a negative one":            {1, `{"-1":"[\"TPSP_5\"]"}`, "unknown_mailbox_provider", `"-1"`},
		"another spelling of 1":     {1, `{"01":"[\"TPSP_5\"]"}`, "unknown_mailbox_provider", `"01"`},
		"a provider by name":        {1, `{"gmail":"[\"TPSP_5\"]"}`, "unknown_mailbox_provider", `gmail is "0"`},
		"a list that is no string":  {1, `{"0":["TPSP_5"]}`, "invalid_metadata", `"0"`},
		"a string that is no list":  {1, `{"0":"TPSP_5"}`, "invalid_metadata", `"0"`},
		"a string of null":          {1, `{"0":"null"}`, "invalid_metadata", `"0"`},
		"a list of numbers":         {1, `{"0":"[5]"}`, "invalid_metadata", `"0"`},
		"an empty list":             {1, `{"0":"[]"}`, "invalid_metadata", "empty"},
		"an egress twice":           {1, `{"0":"[\"TPSP_5\",\"TPSP_5\"]"}`, "duplicate_egress", "TPSP_5"},
		"no egress":                 {1, `{"0":"[\"TPSP_05\"]"}`, "invalid_egress", "TPSP_05"},
		"an egress beyond int32":    {1, `{"0":"[\"TPSP_4000000000\"]"}`, "invalid_egress", "TPSP_4000000000"},
		"an egress of another pool": {1, `{"0":"[\"TPSP_7\"]"}`, "unknown_egress", "TPSP_7"},
		"a key twice":               {1, `{"0":"[\"TPSP_5\"]","0":"[\"TPSP_6\"]"}`, "invalid_metadata", `"0"`},
		"a list":                    {1, `[]`, "invalid_metadata", "another kind"},
		"cut off":                   {1, `{"0":`, "invalid_metadata", `"0"`},
		"not closed":                {1, `{"0":"[\"TPSP_5\"]"`, "invalid_metadata", "valid JSON"},
		"something behind it":       {1, `{"0":"[\"TPSP_5\"]"}{}`, "invalid_metadata", "follows"},
		"too large":                 {1, `{"0":"` + strings.Repeat(" ", MaxMetaData) + `"}`, "metadata_too_large", "bytes"},
		"volumes":                   {2, `{"TPSP_5":"70","TPSP_6":"30"}`, "", ""},
		"volumes as numbers":        {2, `{"TPSP_5":70,"TPSP_6":30.5}`, "", ""},
		"decimals":                  {2, `{"TPSP_5":"33.33","TPSP_6":"66.67"}`, "", ""},
		"three decimals":            {2, `{"TPSP_5":"33.333"}`, "invalid_volume", `"TPSP_5"`},
		"a negative volume":         {2, `{"TPSP_5":"-1"}`, "invalid_volume", `"TPSP_5"`},
		"an exponent":               {2, `{"TPSP_5":1e3}`, "invalid_volume", `"TPSP_5"`},
		"a volume that is none":     {2, `{"TPSP_5":null}`, "invalid_volume", `"TPSP_5"`},
		"a volume in words":         {2, `{"TPSP_5":"much"}`, "invalid_volume", `"TPSP_5"`},
		"one of volume 0":           {2, `{"TPSP_5":"1","TPSP_6":"0"}`, "", ""},
		"all of volume 0":           {2, `{"TPSP_5":"0","TPSP_6":"0.00"}`, "no_volume", "volume 0"},
		"a round of 10,000":         {2, `{"TPSP_5":"9999","TPSP_6":"1"}`, "", ""},
		"a round of 10,001":         {2, `{"TPSP_5":"10000","TPSP_6":"1"}`, "volumes_too_fine", "10001"},
		"large, and round":          {2, `{"TPSP_5":"700000","TPSP_6":"300000"}`, "", ""},
		"a volume of a stranger":    {2, `{"TPSP_5":"1","IP_9":"1"}`, "unknown_egress", "IP_9"},
		"a volume of no egress":     {2, `{"others":"1"}`, "invalid_egress", `"others"`},
		"by domain":                 {3, `{"sendx.io":"[\"TPSP_5\",\"IP_3\"]","others":"[\"TPSP_6\"]"}`, "", ""},
		"a domain in two cases":     {3, `{"sendx.io":"[\"TPSP_5\"]","SendX.io":"[\"TPSP_6\"]"}`, "duplicate_key", `"SendX.io"`},
		"no domain":                 {3, `{"a b":"[\"TPSP_5\"]"}`, "unknown_key", `"a b"`},
		"an address":                {3, `{"me@sendx.io":"[\"TPSP_5\"]"}`, "unknown_key", "me@sendx.io"},
	} {
		bad := Check(test.strategy, test.text, members)
		switch {
		case test.code == "" && bad != nil:
			t.Errorf("%s: %v", name, bad)
		case test.code != "" && (bad == nil || bad.Code != test.code || !strings.Contains(bad.Message, test.words)):
			t.Errorf("%s: %v (%+v), want %s with %q", name, bad, bad, test.code, test.words)
		case bad != nil && bad.Field != "routingMetaData" && test.code != "unknown_strategy":
			t.Errorf("%s names the field %q", name, bad.Field)
		}
	}
}

// The document tells users the numbers of mailbox providers, which they write as keys.
func TestMailboxProvidersAreDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(raw)), " ")
	for id, class := range mailbox.Classes() {
		if want := fmt.Sprintf(" %d %s", id, class); !strings.Contains(text, want+",") && !strings.Contains(text, want+".") && !strings.Contains(text, want+" (") {
			t.Errorf("docs/routing.md does not have%s", want)
		}
	}
}

func TestParseEgress(t *testing.T) {
	t.Parallel()
	for _, e := range []Egress{1, 5, -3, 1<<31 - 1, -(1<<31 - 1)} {
		if got, ok := ParseEgress(e.String()); !ok || got != e {
			t.Errorf("%s is read as %s, %t", e, got, ok)
		}
	}
	for _, name := range []string{"", "TPSP_", "TPSP_0", "IP_-3", "tpsp_5", "TPSP_5 ", "TPSP_2147483648", "TPSP_5\n"} {
		if got, ok := ParseEgress(name); ok {
			t.Errorf("%q is read as %s", name, got)
		}
	}
}

// A TPSP that was deleted is still named by the metadata of its pools.
func TestCompileForgetsWhoIsGone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		strategy Strategy
		text     string
		want     []Egress // of a message to Gmail
	}{
		"a key of one":         {MailboxProvider, `{"0":"[\"TPSP_9\"]","others":"[\"TPSP_6\"]"}`, []Egress{6}},
		"a key of two":         {MailboxProvider, `{"0":"[\"TPSP_9\",\"TPSP_5\"]","others":"[\"TPSP_6\"]"}`, []Egress{5}},
		"all that is named":    {MailboxProvider, `{"others":"[\"TPSP_9\"]"}`, []Egress{5, 6}},
		"one of two volumes":   {Volume, `{"TPSP_9":"70","TPSP_6":"30"}`, []Egress{6, 5}},
		"all volumes":          {Volume, `{"TPSP_9":"70"}`, []Egress{5, 6}},
		"all volumes but zero": {Volume, `{"TPSP_9":"70","TPSP_6":"0"}`, []Egress{5, 6}},
		"unreadable":           {Volume, `{`, []Egress{5, 6}},
		"unknown":              {9, `{`, []Egress{5, 6}},
	} {
		p := &Pool{Name: "p", Strategy: test.strategy, RoutingMetaData: test.text, Members: []Egress{5, 6}}
		got := prepare(p, gmail, nil).Plan(0, 0)
		if diff := cmp.Diff(test.want, got.Egresses); diff != "" {
			t.Errorf("%s (%s):\n%s", name, got.Rule, diff)
		}
	}
}

// Whatever comes, it is judged; and what passes can be compiled and plans.
func FuzzRoutingMetaData(f *testing.F) {
	for _, text := range []string{"", "{}", `{"TPSP_5":"70","TPSP_6":"30"}`, `{"0":"[\"TPSP_5\",\"TPSP_6\"]","others":"[\"IP_3\"]"}`,
		`{"sendx.io":"[\"TPSP_5\"]"}`, `{"TPSP_5":0.25,"TPSP_6":"9999.75"}`, `{"a":{"a":[]}}`, "[[[", "\"", `{"TPSP_5":"1"`} {
		for s := range 4 {
			f.Add(s, text)
		}
	}
	f.Fuzz(func(t *testing.T, strategy int, text string) {
		p := &Pool{Name: "p", Strategy: Strategy(strategy), RoutingMetaData: text, Members: []Egress{5, 6, -3}}
		var bad *mail.FieldError
		if bad = Check(p.Strategy, text, p.Members); bad != nil && (bad.Field == "" || bad.Code == "" || bad.Message == "") {
			t.Errorf("refused without words: %+v", bad)
		}
		if bad != nil && len(bad.Message) > 500 {
			t.Errorf("a refusal of %d bytes", len(bad.Message))
		}
		plan := prepare(p, gmail, nil).Plan(7, 7)
		if len(plan.Egresses) == 0 {
			t.Errorf("%q plans nothing", text)
		}
	})
}
