package providertest

import (
	"testing"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// Cases returns the cases of the suite.
func Cases() []Case { return append([]Case(nil), cases...) }

var cases = append([]Case{
	{"Adapter/capabilities", testCapabilities},
	{"Adapter/profile", testProfile},
	{"Adapter/words for events", testWords},
	{"Adapter/carries the suite's content", testCanCarry},
	{"Adapter/streams", testStreams},

	{"Connection/required fields", testRequired},
	{"Connection/bad endpoints", testBadEndpoints},
	{"Connection/normalised", testGiven},
	{"Connection/normalised twice", testNormalizedTwice},
	{"Connection/secrets stay hidden", testSecretsHidden},
	{"Connection/told apart", testToldApart},

	{"Send/nothing", testSendNothing},
	{"Send/in order", testSendInOrder},
	{"Send/one of several refused", testSendOneRefused},
	{"Send/all refused", testSendAllRefused},
	{"Send/concurrently", testSendConcurrent},
	{"Send/cancelled before", testCancelledBefore},
	{"Send/cancelled while the provider thinks", testCancelledMeanwhile},
	{"Send/no answer in time", testNoAnswer},

	{"Stage/dial refused", testDialRefused},
	{"Stage/no such host", testNoSuchHost},
	{"Stage/TLS fails", testTLSFails},
	{"Stage/a certificate that nobody signed", testCertificate},
	{"Stage/closed before the message", testClosedBefore},
	{"Stage/reset before the message", testResetBefore},
	{"Stage/reset while the message arrives", testResetMeanwhile},
	{"Stage/closed after the message", testClosedAfter},
	{"Stage/reset after the message", testResetAfter},
	{"Stage/an answer cut at every byte", testCutAnswer},
	{"Stage/an answer cut by a reset", testResetAnswer},
	{"Stage/an answer without an end", testEndlessAnswer},

	{"Answer/statuses", testStatuses},
	{"Answer/the provider's words", testReplies},
	{"Answer/garbage", testGarbage},
	{"Answer/asks to wait", testLater},
	{"Answer/points elsewhere", testElsewhere},

	{"Watch/the first byte of an answer", testFirstByte},
	{"Watch/the time is over before the call", testLateBefore},
	{"Watch/the process stands still while it connects", testLateConnecting},

	{"Ask/which messages it has", testLookup},
	{"Ask/an answer that is none", testLookupFails},
	{"Ask/history", testHistory},
	{"Ask/fates", testFates},
	{"Ask/history that cannot be read", testHistoryFails},
	{"Ask/a reader that fails", testReaderFails},

	{"SetUp/right credentials", testRightKey},
	{"SetUp/wrong key", testWrongKey},
	{"SetUp/down", testDown},
	{"SetUp/unavailable", testUnavailable},
	{"SetUp/no time left", testSetUpCancelled},
	{"SetUp/registers", testRegisters},
	{"SetUp/registers again", testRegistersAgain},
	{"SetUp/repairs what was changed", testRepairs},
	{"SetUp/puts back what was removed", testPutsBack},
	{"SetUp/removes copies", testRemovesCopies},
	{"SetUp/leaves others alone", testLeavesOthers},
	{"SetUp/records a repair before it", testBroken},
	{"SetUp/keeps the ref before the provider calls", testKeeps},
	{"SetUp/removes, also twice", testUnregisters},

	{"Webhook/authentic", testAuthentic},
	{"Webhook/unsigned", testUnsigned},
	{"Webhook/forged", testForged},
	{"Webhook/for another hook", testOtherHook},
	{"Webhook/a byte of the body changed", testChangedByte},
	{"Webhook/replayed with another body", testReplayed},
	{"Webhook/authenticity cannot be told", testUntold},

	{"Event/types", testTypes},
	{"Event/who and when", testAttributed},
	{"Event/identities", testIdentities},
	{"Event/copies and disorder", testCopies},
	{"Event/suppressions", testSuppressions},
	{"Event/acceptance taken back", testTakenBack},
	{"Event/one bad item among good ones", testBadItem},
	{"Event/garbage", testParseGarbage},
	{"Event/cut short", testParseCut},
	{"Event/bytes changed", testParseDented},
}, append(classCases(), kindCases()...)...)

// classCases has one case for each class of outcomes.
func classCases() (list []Case) {
	for class := provider.Accepted; class <= provider.Ambiguous; class++ {
		list = append(list, Case{"Class/" + class.String(), func(t *testing.T, h Harness) { testClass(t, h, class) }})
	}
	return list
}

// kindCases has one case for each kind of events that a provider may report.
func kindCases() (list []Case) {
	for _, kind := range []struct {
		name string
		kind event.Kind
	}{
		{"processed", event.Processed}, {"sent", event.Sent}, {"delivered", event.Delivered}, {"deferred", event.Deferred}, {"dropped", event.Dropped},
		{"hard bounced", event.HardBounced}, {"soft bounced", event.SoftBounced}, {"opened", event.Opened}, {"clicked", event.Clicked},
		{"unsubscribed", event.Unsubscribed}, {"spam", event.Spam}, {"group unsubscribe", event.GroupUnsubscribe},
		{"group resubscribe", event.GroupResubscribe}, {"rendering failure", event.RenderingFailure},
	} {
		list = append(list, Case{"Kind/" + kind.name, func(t *testing.T, h Harness) { testKind(t, h, kind.kind) }})
	}
	return list
}
