package event

import (
	"strings"
	"testing"
)

// published is SendPost's list of event types: id, family, name and kind, as its documentation gives them, name after name.
// The names are compared without their spaces, because the documentation spells both "SG Hard Bounced" and "PMHardBounced".
const published = `
0 - Processed Processed
1 - Dropped Dropped
2 - Delivered Delivered
3 - SoftBounced SoftBounced
4 - HardBounced HardBounced
5 - Opened Opened
6 - Clicked Clicked
7 - Unsubscribed Unsubscribed
8 - Spam Spam
9 - Sent Sent
14 SG SGSent Sent
15 SG SGDelivered Delivered
16 SG SGDeferred Deferred
17 SG SGDropped Dropped
18 SG SGHardBounced HardBounced
19 SG SGSoftBounced SoftBounced
20 SG SGOpened Opened
21 SG SGClicked Clicked
22 SG SGSpamReport Spam
23 SG SGUnsubscribe Unsubscribed
24 SG SGGroupUnsubscribe GroupUnsubscribe
25 SG SGGroupResubscribe GroupResubscribe
27 SES SESProcessed Sent
28 SES SESDelivered Delivered
29 SES SESHardBounced HardBounced
30 SES SESSoftBounced SoftBounced
31 SES SESSpamReport Spam
32 SES SESDropped Dropped
33 SES SESOpen Opened
34 SES SESClick Clicked
35 SES SESRenderingFailure RenderingFailure
36 SES SESUnsubscribe Unsubscribed
37 SP SPSent Sent
38 SP SPDelivered Delivered
39 SP SPDeferred Deferred
40 SP SPDropped Dropped
41 SP SPHardBounced HardBounced
42 SP SPSoftBounced SoftBounced
43 SP SPOpened Opened
44 SP SPClicked Clicked
45 SP SPSpamReport Spam
46 SP SPUnsubscribe Unsubscribed
48 MG MGProcessed Processed
49 MG MGSent Sent
50 MG MGDelivered Delivered
51 MG MGHardBounced HardBounced
52 MG MGSoftBounced SoftBounced
53 MG MGDropped Dropped
54 MG MGOpened Opened
55 MG MGClicked Clicked
56 MG MGSpamReport Spam
57 MG MGUnsubscribe Unsubscribed
58 CS CSProcessed Processed
59 CS CSSent Sent
60 CS CSDelivered Delivered
61 CS CSDeferred Deferred
62 CS CSDropped Dropped
63 CS CSHardBounced HardBounced
64 CS CSSoftBounced SoftBounced
65 CS CSOpen Opened
66 CS CSClick Clicked
67 CS CSSpamReport Spam
68 CS CSUnsubscribe Unsubscribed
69 PM PMProcessed Processed
70 PM PMSent Sent
71 PM PMDelivered Delivered
72 PM PMHardBounced HardBounced
73 PM PMSoftBounced SoftBounced
74 PM PMDropped Dropped
75 PM PMOpen Opened
76 PM PMClick Clicked
77 PM PMSpamReport Spam
78 PM PMUnsubscribe Unsubscribed
`

var (
	allFamilies = map[string]Family{"-": Native, "SG": SendGrid, "SES": AmazonSES, "SP": SparkPost, "MG": Mailgun, "CS": CustomSMTP, "PM": Postmark}
	allKinds    = map[string]Kind{
		"Processed": Processed, "Sent": Sent, "Delivered": Delivered, "Deferred": Deferred, "Dropped": Dropped,
		"HardBounced": HardBounced, "SoftBounced": SoftBounced, "Opened": Opened, "Clicked": Clicked,
		"Unsubscribed": Unsubscribed, "Spam": Spam, "GroupUnsubscribe": GroupUnsubscribe, "GroupResubscribe": GroupResubscribe,
		"RenderingFailure": RenderingFailure,
	}
)

// facts reads the published list; names are without spaces.
func facts(t *testing.T) []Info {
	t.Helper()
	var list []Info
	for line := range strings.Lines(strings.TrimSpace(published)) {
		f := strings.Fields(line)
		id := 0
		for _, digit := range f[0] {
			id = id*10 + int(digit-'0')
		}
		family, known := allFamilies[f[1]]
		kind, alsoKnown := allKinds[f[3]]
		if !known || !alsoKnown {
			t.Fatalf("line %q", line)
		}
		list = append(list, Info{Type(id), f[2], family, kind})
	}
	return list
}

func TestCatalogueIsWhatSendPostPublishes(t *testing.T) {
	t.Parallel()
	want, got := facts(t), Catalogue()
	if len(got) != len(want) {
		t.Fatalf("%d types, want %d", len(got), len(want))
	}
	for i, info := range got {
		if i > 0 && info.Type <= got[i-1].Type {
			t.Errorf("id %d comes after %d", info.Type, got[i-1].Type)
		}
		info.Name = strings.ReplaceAll(info.Name, " ", "")
		if info != want[i] {
			t.Errorf("%+v, want %+v", info, want[i])
		}
	}
}

func TestCatalogueGivesACopy(t *testing.T) {
	t.Parallel()
	Catalogue()[0].Name = "changed"
	if got := Catalogue()[0].Name; got != "Processed" {
		t.Errorf("the catalogue's first name became %q", got)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, info := range Catalogue() {
		if got, ok := Describe(info.Type); !ok || got != info {
			t.Errorf("Describe(%d) = %+v, %t, want %+v", info.Type, got, ok, info)
		}
	}
	for _, unknown := range []Type{-1 << 40, -1, 10, 11, 12, 13, 26, 47, 79, 100, 1 << 40} {
		if got, ok := Describe(unknown); ok || got != (Info{}) {
			t.Errorf("Describe(%d) = %+v, %t, want nothing", unknown, got, ok)
		}
	}
}

// Every family and kind: the family's own type, else the native one, else none.
func TestTypeOf(t *testing.T) {
	t.Parallel()
	type pair struct {
		Family
		Kind
	}
	own := map[pair]Type{}
	for _, info := range facts(t) {
		if other, twice := own[pair{info.Family, info.Kind}]; twice {
			t.Errorf("types %d and %d mean the same", other, info.Type)
		}
		own[pair{info.Family, info.Kind}] = info.Type
	}
	for familyName, f := range allFamilies {
		for kindName, k := range allKinds {
			want, wantOK := own[pair{f, k}]
			if !wantOK {
				want, wantOK = own[pair{Native, k}]
			}
			if got, ok := TypeOf(f, k); got != want || ok != wantOK {
				t.Errorf("TypeOf(%s, %s) = %d, %t, want %d, %t", familyName, kindName, got, ok, want, wantOK)
			}
		}
	}
}

// The decisions that the fallback stands for, one by one.
func TestTypeOfFallsBackToNative(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		f    Family
		k    Kind
		want Type
		ok   bool
	}{
		{"Postmark has its own Processed", Postmark, Processed, 69, true},
		{"SendGrid has no Processed", SendGrid, Processed, 0, true},
		{"SES calls its Sent Processed", AmazonSES, Sent, 27, true},
		{"and has no Processed", AmazonSES, Processed, 0, true},
		{"SparkPost has no Processed", SparkPost, Processed, 0, true},
		{"native mail has a Sent of ours", Native, Sent, 9, true},
		{"Postmark has no Deferred, nor has native mail", Postmark, Deferred, 0, false},
		{"only SendGrid has unsubscribe groups", Mailgun, GroupUnsubscribe, 0, false},
		{"a family that is not one", Family(200), Delivered, 0, false},
		{"a kind that is not one", Postmark, Kind(200), 0, false},
	} {
		if got, ok := TypeOf(test.f, test.k); got != test.want || ok != test.ok {
			t.Errorf("%s: TypeOf = %d, %t, want %d, %t", test.name, got, ok, test.want, test.ok)
		}
	}
}

// Whatever a provider accepts has a Sent, Delivered, Dropped and bounce type of its own.
func TestEveryProviderHasTheTypesOfTheLifeOfAMessage(t *testing.T) {
	t.Parallel()
	for name, f := range allFamilies {
		for _, k := range []Kind{Sent, Delivered, Dropped, HardBounced, SoftBounced, Opened, Clicked, Spam} {
			if f == Native {
				continue
			}
			typ, ok := TypeOf(f, k)
			if info, _ := Describe(typ); !ok || info.Family != f || info.Kind != k {
				t.Errorf("%s, kind %d: type %d, %t", name, k, typ, ok)
			}
		}
	}
}

func BenchmarkTypeOf(b *testing.B) {
	for b.Loop() {
		TypeOf(Postmark, Clicked)
	}
}
