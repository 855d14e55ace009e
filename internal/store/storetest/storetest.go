// Package storetest is the suite that every storage engine must pass. It knows the engine by the contract only.
package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// Engine opens a store. Opening the same place again must give the same data.
type Engine func(t *testing.T) (open func() store.Store)

// Run runs the suite.
func Run(t *testing.T, engine Engine) {
	for name, test := range map[string]func(*testing.T, *bench){
		"accepted messages are readable":             acceptedIsReadable,
		"accepted messages survive a restart":        acceptedSurvives,
		"claims take each message once":              claimOnce,
		"claims share the limit over lanes":          claimSharesLanes,
		"claims keep the order within a lane":        claimOrder,
		"waiting messages are not due early":         delayedNotEarly,
		"accepted outcomes are sent once":            settleAccepted,
		"a lost claim changes nothing":               lostClaim,
		"a lost claim with proof settles":            lostClaimProof,
		"doubt is asked for and settled":             doubt,
		"recovery makes open attempts unknown":       recovery,
		"reports move states and count once":         reports,
		"reports overtake the record of the send":    overtaking,
		"a report that the provider has it":          confirming,
		"what is tracked proves little":              tracked,
		"reports never regress a state":              neverRegress,
		"reports about copies are counted apart":     copies,
		"reports find messages by the provider's id": byProviderID,
		"a provider that was connected anew":         reconnected,
		"what is taken back is queued again":         takenBack,
		"what is taken back goes round":              takenBackAgain,
		"what is taken back overtakes the record":    takenBackEarly,
		"what is taken back meanwhile":               takenBackMeanwhile,
		"what is taken back too late":                takenBackLate,
		"another provider has what is taken back":    takenBackElsewhere,
		"a report confirms a call":                   confirmedCall,
		"a refusal tells the name":                   namedOnlyByRefusal,
		"unmatched reports are held, then foreign":   heldThenForeign,
		"garbage is kept apart":                      garbage,
		"fresh reports are stored if they wait":      freshReports,
		"a batch names messages for itself":          namedInBatch,
		"reports of another account are foreign":     foreignAccount,
		"expired messages are dropped":               expiry,
		"a limit stops the clock":                    heldExpiry,
		"messages of a deleted provider are dropped": deletedProvider,
		"pages do not shift":                         stablePages,
		"event filters":                              eventFilters,
		"sub-accounts":                               subAccounts,
		"providers and their pools":                  providers,
		"the key check":                              keyCheck,
		"sequences are spread":                       sequences,

		"attempts and answers are kept":          attempts,
		"recovery closes attempts":               recoveredAttempts,
		"reports close attempts":                 overtakenAttempts,
		"late proof while it is sent again":      lateProof,
		"a proof stays":                          provenForGood,
		"a policy proves nothing":                policyIsNoProof,
		"a message is named by its first report": namedLater,
		"entries of the books":                   entries,
		"events lead to the stored state":        manyEffects,
		"counters are events":                    tally,
		"facets and uniques":                     facets,
		"facets in any order and twice":          facetsOnce,
		"labels have a cap":                      labelCap,
		"labels are decided once":                labelsShared,
		"statistics by key":                      statistics,
		"statistics by lane":                     lanes,
		"domains":                                domains,
		"labels of accounts":                     accountLabels,
		"events in the order of time":            eventsInTime,
		"events behind the numbers of facets":    facetEvents,
		"stretches of events":                    eventStretches,
		"messages from the newest back":          messagesBack,
		"messages of a recipient":                messagesOfRecipient,
		"messages of several accounts":           messagesApart,
		"heads and last events":                  headsAndLast,
		"deliveries of events":                   deliveriesOf,
		"keys of domains":                        domainKeys,
		"checks of domains":                      domainChecks,
		"sent messages without a final report":   awaiting,
		"the node's name and the store's clock":  whoAndWhen,
		"leases":                                 leases,
		"silence is caught up with":              listening,
		"catching up begins and ends":            catchUps,
		"a provider is updated":                  updatedProvider,
		"revisions":                              revisions,
		"pools":                                  pools,
		"mirrored templates":                     templates,
		"stored templates":                       storedTemplates,
		"suppressions of users":                  suppressions,
		"suppressed recipients get no mail":      suppressedMail,
		"reports suppress":                       suppressingReports,
		"answers suppress":                       suppressingAnswers,
		"old reactivations are forgotten":        suppressionsForgotten,
		"answers have the reason of the list":    explainedAnswers,
		"providers' suppression lists":           suppressionLists,
		"what is pushed to suppression lists":    suppressionPushes,
		"lists end what was put there only":      suppressionsOfOthers,
		"lists that are off keep nothing":        listsThatAreOff,
		"wishes end with the setting":            wishesOfAnotherSetting,
		"deleted sub-accounts suppress nothing":  deletedSuppress,
		"limits hold":                            limitsHold,
		"permits are given back":                 permitsReturned,
		"lanes and sub-accounts take turns":      turns,
		"many senders have their turns":          manySenders,
		"pools go by priority":                   priorities,
		"what is paused waits":                   pauses,
		"sub-accounts under each other":          subAccountTree,
		"moves at once make no circle":           subAccountRaces,
		"what is blocked waits":                  blocks,
		"limits of sub-accounts hold":            senderLimitsHold,
		"permits of sub-accounts":                senderPermits,
		"full sub-accounts keep nobody waiting":  fullSenders,
		"what is held keeps nobody waiting":      heldFlows,
		"held priorities keep nobody waiting":    heldPriorities,
		"priorities have turns of their own":     priorityTurns,
		"a parent's limit is shared":             siblings,
		"one limit and many egresses":            oneLimitManyEgresses,
		"a sub-account's limit stops the clock":  senderHoldExpiry,
		"waiting messages are looked through":    queuedMessages,
		"waiting messages are moved and dropped": moves,
		"waiting messages are grouped by why":    delays,
		"every lane shows what waits in it":      laneDelays,
		"failed attempts are shown":              failures,
		"strange webhooks are counted":           strange,
		"a provider moves":                       movedProvider,
		"pools must not be emptied":              emptiedPools,
		"endpoints":                              endpoints,
		"events to post":                         outbound,
		"deliveries":                             deliveries,
		"deliveries are replayed":                replays,
		"what is left of deliveries is swept":    sweptOutbox,
		"reports count for who sent":             reportsBySender,
		"answers are kept under keys":            keptAnswers,
		"a key is taken once":                    keyTakenOnce,
		"kept answers are forgotten":             forgottenAnswers,
		"the audit log":                          auditLog,
		"the audit log is forgotten":             auditForgotten,
		"IPs are allocated":                      ips,
		"mail goes through IPs":                  mailThroughIP,
		"members":                                members,
		"invitations":                            invitations,
		"sessions":                               sessions,
		"sessions are capped":                    sessionsAreCapped,
		"the last owner":                         lastOwner,
		"the first member is one":                firstMemberOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newBench(t, engine(t)))
		})
	}
}

// Times of the suite: a day that no clock is near.
var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// bench is one store with an account, a provider and its pool.
type bench struct {
	t       *testing.T
	reopen  func() store.Store
	store   store.Store
	account directory.Account
	sub     directory.SubAccount
	tpsp    directory.TPSP
	pool    route.Pool
	now     time.Time
	dated   bool // ids of messages sort by now, and not by the time of the machine
}

func newBench(t *testing.T, open func() store.Store) *bench {
	b := &bench{t: t, reopen: open, store: open(), now: start}
	t.Cleanup(func() {
		if err := b.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b.account, b.sub = b.newAccount("acme")
	b.tpsp, b.pool = b.newTPSP(b.account.ID, "Postmark", "token", "outbound")
	return b
}

func (b *bench) ctx() context.Context { return b.t.Context() }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// restart closes the store and opens it again.
func (b *bench) restart() {
	b.t.Helper()
	b.must(b.store.Close())
	b.store = b.reopen()
}

func (b *bench) newAccount(name string) (directory.Account, directory.SubAccount) {
	b.t.Helper()
	a := directory.Account{Name: name, KeyHash: secret.Hash(name), SealedKey: []byte(name), Created: b.now}
	s := directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash(name + "/default"), SealedKey: []byte("s"), Created: b.now}
	b.must(b.store.CreateAccount(b.ctx(), &a, &s))
	return a, s
}

func (b *bench) newTPSP(account int32, name, key, stream string) (directory.TPSP, route.Pool) {
	b.t.Helper()
	p := directory.TPSP{AccountID: account, Name: name, Type: provider.Postmark, SealedKey: []byte(key), KeyHash: secret.Hash(key),
		Stream: stream, Created: b.now, Webhook: directory.Webhook{State: directory.WebhookPending, Username: "u", SealedPassword: []byte("p")}}
	pool := route.Pool{Name: "postmark-pool", Created: b.now, WarmupInterval: 24}
	b.must(b.store.CreateTPSP(b.ctx(), &p, &pool))
	return p, pool
}

func (b *bench) egress() route.Egress { return b.tpsp.Egress() }

// plan sends everything to one egress.
func plan(e ...route.Egress) func(uint64) store.Planned {
	return func(uint64) store.Planned {
		return store.Planned{Plan: route.Plan{Egresses: e, Rule: "test"}, Processed: 69}
	}
}

// submission is a request to some recipients, with one content.
func (b *bench) submission(to ...string) (store.Submission, []mail.ID) {
	b.t.Helper()
	content, err := json.Marshal(mail.Content{From: mail.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hello",
		Template: "welcome", Groups: []string{"g1", "g2"}})
	b.must(err)
	s := store.Submission{AccountID: b.account.ID, SubAccountID: b.sub.ID, Content: content, Groups: []string{"g1", "g2"}, SubmittedAt: b.now}
	ids := make([]mail.ID, len(to))
	for i, email := range to {
		recipient, err := json.Marshal(mail.Recipient{Address: mail.Address{Email: email, Name: "Ana"},
			CC: []mail.Address{{Email: "copy@example.net"}}})
		b.must(err)
		ids[i] = uuid.Must(uuid.NewV7())
		for k, ms := 5, uint64(b.now.UnixMilli()); k >= 0 && b.dated; k, ms = k-1, ms>>8 {
			ids[i][k] = byte(ms)
		}
		s.Messages = append(s.Messages, store.NewMessage{ID: ids[i], Recipient: recipient, To: email,
			Mailbox: mailbox.ByDomain(mail.Domain(email)), PoolID: b.pool.ID, Plan: plan(b.egress())})
	}
	return s, ids
}

// accept stores one message per recipient.
func (b *bench) accept(to ...string) []mail.ID {
	b.t.Helper()
	s, ids := b.submission(to...)
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	return ids
}

// owner names a run of the store's node.
func (b *bench) owner(run string) string { return store.OwnerOf(b.store.Node(), run) }

func (b *bench) claim(limit int) []store.Job { return b.claimAs(b.owner("one"), limit) }

func (b *bench) claimAs(owner string, limit int) []store.Job {
	b.t.Helper()
	claimed, err := b.store.Claim(b.ctx(), store.Claim{Egress: b.egress(), Limit: limit, Owner: owner, Now: b.now, LeaseUntil: b.now.Add(time.Minute)})
	b.must(err)
	return claimed.Jobs
}

func (b *bench) settle(s ...store.Settlement) {
	b.t.Helper()
	for i := range s {
		if s[i].Owner == "" {
			s[i].Owner = b.owner("one")
		}
		if s[i].At.IsZero() {
			s[i].At = b.now
		}
		if s[i].Egress == 0 {
			s[i].Egress = b.egress()
		}
	}
	b.must(b.store.Settle(b.ctx(), s))
}

// accepted is the settlement of a message that the provider took.
func accepted(j *store.Job, providerID string) store.Settlement {
	return store.Settlement{Job: j, Trigger: lifecycle.Accept, Sent: 70,
		Outcome: &provider.Outcome{Class: provider.Accepted, ProviderMessageID: providerID, HTTPStatus: 200}}
}

// send accepts, claims and settles one message.
func (b *bench) send(to string) mail.ID {
	b.t.Helper()
	id := b.accept(to)[0]
	jobs := b.claim(1)
	if len(jobs) != 1 || jobs[0].ID != id {
		b.t.Fatalf("claimed %v, want %s", jobs, id)
	}
	b.settle(accepted(&jobs[0], "pm-"+id.String()))
	return id
}

func (b *bench) message(id mail.ID) *store.Message {
	b.t.Helper()
	m, err := b.store.Message(b.ctx(), b.account.ID, id)
	b.must(err)
	return m
}

func (b *bench) wantState(id mail.ID, want lifecycle.State) {
	b.t.Helper()
	if m := b.message(id); m.State != want {
		b.t.Errorf("state %s, want %s (waiting: %q)", m.State, want, m.Waiting)
	}
}

// types returns the types of a message's events in the order of recording.
func (b *bench) types(id mail.ID) string {
	b.t.Helper()
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: id, Limit: 100})
	b.must(err)
	var list []int
	for _, e := range events {
		list = append(list, int(e.Type))
	}
	return fmt.Sprint(list)
}

func (b *bench) wantTypes(id mail.ID, want ...int) {
	b.t.Helper()
	if got := b.types(id); got != fmt.Sprint(want) {
		b.t.Errorf("event types %s, want %v", got, want)
	}
}

// counts returns the counters over all days as "type:n".
func (b *bench) counts() map[event.Type]int64 {
	b.t.Helper()
	list, err := b.store.Counts(b.ctx(), store.CountFilter{AccountID: b.account.ID, From: start.AddDate(0, 0, -30), To: start.AddDate(0, 0, 30)})
	b.must(err)
	got := map[event.Type]int64{}
	for _, c := range list {
		got[c.Type] += c.N
	}
	return got
}

func (b *bench) backlog() int64 {
	b.t.Helper()
	n, err := b.store.Backlog(b.ctx())
	b.must(err)
	return n
}

// report builds a provider's report about a message.
func (b *bench) report(id mail.ID, kind event.Kind, identity string) provider.Report {
	b.t.Helper()
	typ, ok := event.TypeOf(event.Postmark, kind)
	if !ok {
		b.t.Fatalf("no type of kind %d", kind)
	}
	return provider.Report{Kind: kind, Type: typ, MessageID: id, ProviderMessageID: "pm-" + id.String(), Identity: identity,
		Recipient: "ana@gmail.com", OccurredAt: b.now, Detail: event.Detail{RawUserAgent: "test"}}
}

// deliver receives one body per report and ingests what is due.
func (b *bench) deliver(reports ...provider.Report) store.IngestResult {
	b.t.Helper()
	return b.deliverAs(b.account.ID, reports...)
}

func (b *bench) deliverAs(account int32, reports ...provider.Report) store.IngestResult {
	b.t.Helper()
	for range reports {
		b.must(b.store.Receive(b.ctx(), []store.Receipt{{AccountID: account, TPSPID: b.tpsp.ID,
			Headers: map[string]string{"X": "y"}, Body: []byte("{}"), ReceivedAt: b.now}}))
	}
	receipts, err := b.store.Received(b.ctx(), b.now, 100)
	b.must(err)
	if len(receipts) < len(reports) {
		b.t.Fatalf("%d receipts for %d reports", len(receipts), len(reports))
	}
	receipts = receipts[len(receipts)-len(reports):]
	batch := make([]store.Parsed, len(reports))
	for i := range reports {
		batch[i] = store.Parsed{Receipt: receipts[i], Reports: reports[i : i+1], HoldTo: b.now.Add(time.Minute), Sent: 70, Now: b.now}
	}
	res, err := b.store.Ingest(b.ctx(), batch)
	b.must(err)
	return res
}
