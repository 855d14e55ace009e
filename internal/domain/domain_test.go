package domain

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"postyard/internal/directory"
	"postyard/internal/dns"
	"postyard/internal/dns/dnstest"
	"postyard/internal/secret"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

const mailHost = "mail.postyard.example"

// world is a Service with a database and a DNS server.
type world struct {
	*Service
	t     *testing.T
	db    *sqlite.DB
	zone  *dnstest.Zone
	sub   *directory.SubAccount
	other *directory.SubAccount // of the same account
	alien *directory.SubAccount // of another one
	ahead atomic.Int64          // by how much the clock is
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.db, err = sqlite.Open(t.Context(), sqlitetest.Dir(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	a, b := directory.Account{Name: "a", KeyHash: directory.KeyHash{1}, SealedKey: []byte("sealed")}, directory.Account{Name: "b", KeyHash: directory.KeyHash{2}, SealedKey: []byte("sealed")}
	w.sub, w.alien = &directory.SubAccount{Name: "default", KeyHash: directory.KeyHash{3}, SealedKey: []byte("sealed")}, &directory.SubAccount{Name: "default", KeyHash: directory.KeyHash{4}, SealedKey: []byte("sealed")}
	w.must(w.db.CreateAccount(t.Context(), &a, w.sub))
	w.must(w.db.CreateAccount(t.Context(), &b, w.alien))
	w.other = &directory.SubAccount{AccountID: a.ID, Name: "other", KeyHash: directory.KeyHash{5}, SealedKey: []byte("sealed")}
	w.must(w.db.CreateSubAccount(t.Context(), w.other))
	dir, err := directory.Open(t.Context(), w.db)
	w.must(err)
	address, zone := dnstest.Serve(t)
	w.zone = zone
	w.Service = New(Config{Directory: dir, Store: w.db, Box: secret.NewBox(secret.NewKey()), Resolver: dns.New(address), MailHost: mailHost, Holder: "test",
		Now: w.now, Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler)})
	w.bits = 1024 // larger ones take long to make
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(sub *directory.SubAccount, name string) *directory.Domain {
	w.t.Helper()
	d, err := w.Create(w.t.Context(), sub, name)
	w.must(err)
	return d
}

func (w *world) verify(d *directory.Domain) directory.DomainChecks {
	w.t.Helper()
	got, err := w.Verify(w.t.Context(), &directory.SubAccount{ID: d.SubAccountID, AccountID: d.AccountID}, d.ID)
	w.must(err)
	return w.Checks(got)
}

// publish sets all records of a domain.
func (w *world) publish(d *directory.Domain) {
	r := w.Records(d)
	w.zone.AddTXT(r.DKIM.Host, r.DKIM.Value)
	w.zone.AddTXT(r.DMARC.Host, r.DMARC.Value)
	for _, alias := range []Record{r.SPF, r.ReturnPath, r.Track} {
		w.zone.Add(alias.Host + ". CNAME " + alias.Value + ".")
	}
}

func publicKey(t *testing.T) (pkix, pkcs1 string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der), base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))
}

func TestDKIMRecords(t *testing.T) {
	t.Parallel()
	ours, bare := publicKey(t)
	another, _ := publicKey(t)
	good := "v=DKIM1;k=rsa;s=email;h=sha256;p=" + ours
	for name, test := range map[string]struct {
		texts []string
		want  string // "" is no fault
	}{
		"as shown":               {texts: []string{good}},
		"spaces":                 {texts: []string{" v = DKIM1 ; k = rsa ; p = " + ours[:100] + " " + ours[100:] + " ; "}},
		"the key alone":          {texts: []string{"p=" + ours}},
		"in the other form":      {texts: []string{"v=DKIM1; p=" + bare}},
		"any service":            {texts: []string{"v=DKIM1; s=other:*; p=" + ours}},
		"several hashes":         {texts: []string{"v=DKIM1; h=sha1:sha256; p=" + ours}},
		"other tags":             {texts: []string{"v=DKIM1; n=a note; t=s; x=y; p=" + ours}},
		"another key":            {texts: []string{"v=DKIM1; p=" + another}, want: "another key than ours: p=" + another[:shown] + "..."},
		"two records":            {texts: []string{good, "v=spf1 -all"}, want: "there are 2 TXT records"},
		"no DKIM":                {texts: []string{"google-site-verification=abc"}, want: "has no key (p=)"},
		"no tags":                {texts: []string{"hello"}, want: "is not of the form name=value"},
		"a tag twice":            {texts: []string{good + ";p=" + ours}, want: "it has p= twice"},
		"another version":        {texts: []string{"v=DKIM2; p=" + ours}, want: "begin with v=DKIM1"},
		"the version behind":     {texts: []string{"k=rsa; v=DKIM1; p=" + ours}, want: "begin with v=DKIM1"},
		"SPF":                    {texts: []string{"v=spf1 include:mail.postyard.example -all"}, want: "is not a DKIM key"},
		"revoked":                {texts: []string{"v=DKIM1; p="}, want: "revoked"},
		"Ed25519":                {texts: []string{"v=DKIM1; k=ed25519; p=" + ours}, want: `of the kind "ed25519"`},
		"cut off":                {texts: []string{good[:203]}, want: "cut off"},
		"cut off between":        {texts: []string{good[:len(good)-4]}, want: "another key"},
		"not base64":             {texts: []string{"v=DKIM1; p=!!!"}, want: "not base64"},
		"no hash of ours":        {texts: []string{"v=DKIM1; h=sha1; p=" + ours}, want: "not sha256"},
		"another service":        {texts: []string{"v=DKIM1; s=tlsrpt; p=" + ours}, want: "not for email"},
		"a test":                 {texts: []string{"v=DKIM1; t=s:y; p=" + ours}, want: "it is a test"},
		"the value in quotes":    {texts: []string{`"` + good + `"`}, want: "quotation marks"},
		"only the key, no p=":    {texts: []string{ours}, want: "is not"},
		"hostile":                {texts: []string{"v=DKIM1; p=\xff\x00\r\n\x1b[31m" + strings.Repeat("=", 5000)}, want: "not base64"},
		"empty":                  {texts: []string{""}, want: "has no key"},
		"a longer tag than this": {texts: []string{strings.Repeat("x", 10_000)}, want: "not of the form"},
	} {
		got := dkimFault(test.texts, ours)
		if test.want == "" && got != "" || test.want != "" && !strings.Contains(got, test.want) || len(got) > 3*shown+120 {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestDMARCRecords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		texts []string
		none  bool   // it is no record of DMARC
		want  string // "" is no fault
	}{
		"as shown":        {texts: []string{"v=DMARC1; p=none;"}},
		"strict":          {texts: []string{"v=DMARC1;p=Reject;sp=quarantine;rua=mailto:a@example.com;pct=50"}},
		"spaces":          {texts: []string{" v = DMARC1 ; p = none"}},
		"others beside":   {texts: []string{"v=spf1 -all", "v=DMARC1; p=none"}},
		"none":            {texts: []string{"v=spf1 -all"}, none: true},
		"another version": {texts: []string{"v=DMARC12; p=none"}, none: true},
		"version behind":  {texts: []string{"p=none; v=DMARC1"}, none: true},
		"no policy":       {texts: []string{"v=DMARC1; rua=mailto:a@example.com"}, want: "no policy"},
		"unknown policy":  {texts: []string{"v=DMARC1; p=nothing"}, want: "p=nothing is none of"},
		"unknown below":   {texts: []string{"v=DMARC1; p=none; sp=x"}, want: "sp=x is none of"},
		"two":             {texts: []string{"v=DMARC1; p=none", "v=DMARC1; p=reject"}, want: "2 DMARC records"},
		"no form":         {texts: []string{"v=DMARC1; p"}, want: "not of the form"},
	} {
		policies := dmarcPolicies(test.texts)
		if (len(policies) == 0) != test.none {
			t.Errorf("%s: %q", name, policies)
		}
		if len(policies) == 0 {
			continue
		}
		if got := dmarcFault(policies); test.want == "" && got != "" || test.want != "" && !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func FuzzFaults(f *testing.F) {
	f.Add("v=DKIM1; p=MIIB", "v=DMARC1; p=none")
	f.Add("p=\xff;;=", "v=DMARC1;p")
	f.Fuzz(func(t *testing.T, key, policy string) {
		if fault := dkimFault([]string{key}, "MIIB"); len(fault) > 1000 {
			t.Errorf("%d bytes", len(fault))
		}
		if list := dmarcPolicies([]string{policy}); len(list) > 0 && len(dmarcFault(list)) > 1000 {
			t.Errorf("%q", policy)
		}
	})
}

// Every record on its own, in DNS: what is missing, what is wrong, and what leads to us by detours.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "shop.example.com")
	if c := w.Checks(d); c.DKIM != (directory.RecordCheck{Reason: notYet}) || c.DMARC != c.DKIM {
		t.Errorf("before: %+v", c)
	}
	c := w.verify(d)
	for name, pair := range map[string][2]string{
		"dkim": {c.DKIM.Reason, "sp-dkim._domainkey.shop.example.com does not exist"}, "spf": {c.SPF.Reason, "sp-bounce.shop.example.com does not exist"},
		"returnPath": {c.ReturnPath.Reason, "sp-bounces.shop.example.com does not exist"}, "track": {c.Track.Reason, "track.shop.example.com does not exist"},
		"dmarc": {c.DMARC.Reason, "_dmarc.shop.example.com does not exist"},
	} {
		if !strings.HasPrefix(pair[0], pair[1]) {
			t.Errorf("%s: %q, want %q", name, pair[0], pair[1])
		}
	}
	w.publish(d)
	if c = w.verify(d); c != allWell {
		t.Errorf("everything is set: %+v", c)
	}

	track := "track.shop.example.com"
	for _, test := range []struct {
		set  []string
		want string
	}{
		{[]string{track + ". A 192.0.2.1"}, "track.shop.example.com has no CNAME record"},
		{[]string{track + ". CNAME elsewhere.example.net."}, "is an alias of elsewhere.example.net, and not of " + mailHost},
		{[]string{track + ". CNAME hop.example.net.", "hop.example.net. CNAME MAIL.postyard.example."}, ""},
		{[]string{track + ". CNAME a.example.net.", "a.example.net. CNAME b.example.net.", "b.example.net. CNAME a.example.net."}, "does not lead to " + mailHost + " within 8 aliases"},
		{[]string{track + ". CNAME " + mailHost + ".", mailHost + ". CNAME lb.example.net."}, ""}, // where we are ourselves does not matter
	} {
		for _, name := range []string{track, "hop.example.net", "a.example.net", "b.example.net"} {
			w.zone.Remove(name)
		}
		w.zone.Add(test.set...)
		if c = w.verify(d); c.Track.Verified != (test.want == "") || !strings.Contains(c.Track.Reason, test.want) || !c.SPF.Verified {
			t.Errorf("%q: %+v, want %q", test.set, c.Track, test.want)
		}
	}

	// A key may stand behind an alias; and the parent's policy of DMARC is the domain's.
	host := w.Records(d).DKIM.Host
	w.zone.Remove(host)
	w.zone.Add(host + ". CNAME key.example.net.")
	w.zone.AddTXT("key.example.net", w.Records(d).DKIM.Value)
	w.zone.Remove("_dmarc.shop.example.com")
	w.zone.AddTXT("_dmarc.example.com", "v=DMARC1; p=reject")
	if c = w.verify(d); !c.DKIM.Verified || !c.DMARC.Verified {
		t.Errorf("by detours: %+v", c)
	}
	w.zone.AddTXT("_dmarc.shop.example.com", "v=DMARC1; p=what") // the own one goes first, good or bad
	w.zone.AddTXT("key.example.net", "v=DKIM1; p=")
	if c = w.verify(d); c.DKIM.Verified || !strings.HasPrefix(c.DKIM.Reason, host+": there are 2 TXT records") || c.DMARC.Verified ||
		!strings.HasPrefix(c.DMARC.Reason, "_dmarc.shop.example.com: the policy p=what") {
		t.Errorf("wrong: %+v", c)
	}
}

var allWell = directory.DomainChecks{DKIM: directory.RecordCheck{Verified: true}, SPF: directory.RecordCheck{Verified: true},
	ReturnPath: directory.RecordCheck{Verified: true}, Track: directory.RecordCheck{Verified: true}, DMARC: directory.RecordCheck{Verified: true}}

// While DNS is away, what was known stays, and the reasons say so.
func TestDNSIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, fresh := w.create(w.sub, "shop.example.com"), w.create(w.sub, "new.example.com")
	w.publish(d)
	w.verify(d)
	for _, name := range []string{"sp-dkim._domainkey.", "_dmarc.", "track."} {
		w.zone.Fail(name+"shop.example.com", wire.RcodeServerFailure)
		w.zone.Fail(name+"new.example.com", wire.RcodeRefused)
	}
	c := w.verify(d)
	for name, r := range map[string]directory.RecordCheck{"dkim": c.DKIM, "dmarc": c.DMARC, "track": c.Track} {
		if !r.Verified || !strings.Contains(r.Reason, "SERVFAIL") || !strings.HasSuffix(r.Reason, "it was verified before, and counts as such") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if !c.SPF.Verified || c.SPF.Reason != "" {
		t.Errorf("what DNS answered: %+v", c.SPF)
	}
	if again := w.verify(d); again != c {
		t.Errorf("the same failure reads otherwise: %+v", again)
	}
	if c := w.verify(fresh); c.DKIM.Verified || !strings.Contains(c.DKIM.Reason, "REFUSED") || !strings.HasSuffix(c.DKIM.Reason, "it was not verified before") {
		t.Errorf("a new one: %+v", c.DKIM)
	}
	w.zone.Fail("sp-dkim._domainkey.shop.example.com", wire.RcodeNameError) // an answer: it is gone
	if c := w.verify(d); c.DKIM.Verified {
		t.Errorf("gone: %+v", c.DKIM)
	}
}

func TestWithoutDNSOrName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "shop.example.com")
	w.publish(d)
	w.MailHost = ""
	if c := w.verify(d); !c.DKIM.Verified || !c.DMARC.Verified || c.SPF.Verified || c.SPF.Reason != noName || c.Track != c.SPF || c.ReturnPath != c.SPF {
		t.Errorf("without a name: %+v", c)
	}
	w.Resolver = nil
	if c := w.verify(d); !c.DKIM.Verified {
		t.Errorf("what was known before is gone: %+v", c)
	}
	if c := w.verify(w.create(w.sub, "other.example.com")); c.DKIM != (directory.RecordCheck{Reason: dnsOff}) || c.SPF != c.DKIM {
		t.Errorf("without DNS: %+v", c)
	}
	if asked := len(w.zone.Asked()); asked != 2 {
		t.Errorf("%d questions: %q", asked, w.zone.Asked())
	}
}

func TestPublicHost(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://Mail.Example.com": "mail.example.com", "http://mail.example.com.:8025/x": "mail.example.com", "http://127.0.0.1:8025": "", "http://[::1]:80": "",
		"http://localhost:8025": "", "http://post.localhost": "", "http://server": "", "": "", "%": "",
	} {
		if got := PublicHost(url); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}

// Domains are looked at by themselves: soon after something changed, then less often, and daily when all is well.
func TestPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "shop.example.com")
	gone := w.create(w.sub, "gone.example.com")
	_, err := w.Delete(t.Context(), w.sub, gone.ID)
	w.must(err)
	checked := func(after time.Duration) bool {
		t.Helper()
		w.ahead.Add(int64(after))
		before := len(w.zone.Asked())
		w.must(w.pass(t.Context()))
		return len(w.zone.Asked()) > before
	}
	if !checked(0) || checked(0) {
		t.Error("a new domain is looked at once at once")
	}
	for _, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		if checked(pause - 10*time.Second) {
			t.Errorf("looked at before %s", pause)
		}
		if !checked(20 * time.Second) {
			t.Errorf("not looked at after %s", pause)
		}
	}
	w.publish(d)
	if !checked(17 * time.Minute) {
		t.Error("not looked at")
	}
	if got := w.Directory.Current().Domain(w.sub.ID, d.ID); got.Checks != allWell {
		t.Errorf("%+v", got.Checks)
	}
	if checked(23 * time.Hour) {
		t.Error("all is well, and it is looked at within a day")
	}
	w.zone.Remove("track.shop.example.com")
	if !checked(2*time.Hour) || checked(50*time.Second) || !checked(20*time.Second) {
		t.Error("what was lost is looked for soon again")
	}
	if got := w.Directory.Current().Domain(w.sub.ID, d.ID); got.Checks.Track.Verified || !got.Checks.DKIM.Verified {
		t.Errorf("%+v", got.Checks)
	}
	for i := range 20 { // nobody sets it
		if !checked(25 * time.Hour) {
			t.Errorf("day %d: not looked at", i)
		}
	}
	for _, question := range w.zone.Asked() {
		if strings.Contains(question, "gone.") {
			t.Errorf("asked about a deleted domain: %s", question)
		}
	}
}

// Another node that looks at domains is not disturbed.
func TestOnePassAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(w.sub, "shop.example.com")
	held, err := w.db.Lease(t.Context(), lease, "another", time.Hour)
	if err != nil || !held {
		t.Fatalf("%t, %v", held, err)
	}
	w.must(w.pass(t.Context()))
	if asked := w.zone.Asked(); len(asked) > 0 {
		t.Errorf("%q", asked)
	}
	w.must(w.db.Release(t.Context(), lease, "another"))
	w.must(w.pass(t.Context()))
	if asked := w.zone.Asked(); len(asked) == 0 {
		t.Error("not looked at")
	}
}

// A pass that is cut off records nothing of what it did not hear.
func TestStopInAPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "shop.example.com")
	w.zone.Mute("sp-dkim._domainkey.shop.example.com", true)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.pass(ctx) }()
	for len(w.zone.Asked()) < 6 { // four records answered, one of them with its parent, one silent
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	w.must(<-done)
	w.must(w.Directory.Reload(t.Context()))
	if got := w.Directory.Current().Domain(w.sub.ID, d.ID); got.Checks != (directory.DomainChecks{}) {
		t.Errorf("%+v", got.Checks)
	}
	due, err := w.db.DueDomains(t.Context(), w.now(), 9)
	if err != nil || len(due) != 1 {
		t.Errorf("due: %v, %v", due, err)
	}
}

// Domains from before there were keys get one, also where DNS is not asked.
func TestOldDomainsGetKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := directory.Domain{AccountID: w.sub.AccountID, SubAccountID: w.sub.ID, Name: "old.example.com", Created: w.now()}
	w.must(w.db.CreateDomain(t.Context(), &old, nil))
	w.must(w.Directory.Reload(t.Context()))
	if r := w.Records(&old); r.DKIM != (Record{Type: "TXT"}) {
		t.Errorf("%+v", r.DKIM)
	}
	w.must(w.giveKeys(t.Context()))
	got := w.Directory.Current().UsedDomain(old.ID)
	w.publish(got)
	if c := w.verify(got); c != allWell {
		t.Errorf("%+v", c)
	}
	sign, err := w.Signer(t.Context(), w.sub.AccountID, w.sub.ID, "old.example.com")
	if err != nil || sign == nil {
		t.Errorf("no signer: %v", err)
	}
	w.must(w.giveKeys(t.Context())) // nobody gets another one
	if again := w.Directory.Current().UsedDomain(old.ID); again.PublicKey != got.PublicKey {
		t.Error("another key")
	}
}

func TestCreateAndDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.create(w.sub, "Shop.Example.com.")
	if _, err := w.Create(t.Context(), w.sub, "shop.example.com"); !errors.Is(err, ErrDuplicate) {
		t.Errorf("twice: %v", err)
	}
	if alien := w.create(w.alien, "shop.example.com"); alien.PublicKey == d.PublicKey {
		t.Error("two accounts have one key")
	}
	if same := w.create(w.other, "shop.example.com"); same.PublicKey != d.PublicKey || same.Selector != d.Selector {
		t.Error("two sub-accounts of an account have two keys")
	}
	if _, err := w.Delete(t.Context(), w.other, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("another's: %v", err)
	}
	_, err := w.Delete(t.Context(), w.sub, d.ID)
	w.must(err)
	if again := w.create(w.sub, "shop.example.com"); again.PublicKey != d.PublicKey { // the other sub-account kept it
		t.Error("another key")
	}
}

func TestTrackingURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const public = "https://" + mailHost + ":8443/post"
	at := func(sub *directory.SubAccount, from string) string {
		return w.TrackingURL(public, sub.AccountID, sub.ID, from)
	}
	d := w.create(w.sub, "shop.example.com")
	if got := at(w.sub, d.Name); got != "" {
		t.Errorf("before its record is set: %q", got)
	}
	w.publish(d)
	w.verify(d)
	const own = "https://track.shop.example.com:8443/post"
	for name, test := range map[string]struct{ got, want string }{
		"itself":              {at(w.sub, d.Name), own},
		"below":               {at(w.sub, "news.shop.example.com"), own},
		"above":               {at(w.sub, "example.com"), ""},
		"another sub-account": {at(w.other, d.Name), own},
		"another account":     {at(w.alien, d.Name), ""},
		"elsewhere":           {w.TrackingURL("https://post.example.net", w.sub.AccountID, w.sub.ID, d.Name), ""},
		"no name":             {w.TrackingURL("http://127.0.0.1:8025", w.sub.AccountID, w.sub.ID, d.Name), ""},
		"http":                {w.TrackingURL("http://MAIL.postyard.example", w.sub.AccountID, w.sub.ID, d.Name), "http://track.shop.example.com"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", name, test.got, test.want)
		}
	}
	w.zone.Remove("track.shop.example.com")
	w.verify(d)
	if got := at(w.sub, d.Name); got != "" {
		t.Errorf("after it was taken away: %q", got)
	}
}
