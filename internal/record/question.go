package record

import (
	"context"
	"fmt"
)

// Default is something that our code takes for granted about Postmark although nobody has said so.
type Default struct {
	ID        string // "3a": the question and a letter
	Text      string // what is taken for granted
	Where     string // the declaration that does: "internal/provider/postmark.classify"
	Otherwise string // what follows for our code when Postmark does otherwise
}

// Question is one of the open questions about Postmark.
type Question struct {
	Number   int
	Title    string
	Asks     string // what is sent and made to find out
	Mails    int    // at most so many mails to the recipient
	Public   bool   // needs a URL under which Postmark reaches this machine
	Optional string // the option without which it is not asked, "" when it is always asked
	Defaults []Default

	ask func(context.Context, *asking) error
}

// File is the name of the file that holds the answer.
func (q *Question) File() string { return fmt.Sprintf("question-%02d.json", q.Number) }

const (
	adapter   = "internal/provider/postmark."
	simulator = "internal/sandbox/postmark."
)

// Questions returns all open questions, by number.
func Questions() []Question {
	return []Question{{
		Number: 1, Title: "Is a webhook's handshake enforced for every account, does a 204 pass it, and what are its bodies?", Public: true,
		Asks: "registers a webhook three times, answers the probes 500, 204 and 200, and removes what was saved",
		Defaults: []Default{
			{"1a", "a webhook whose probes fail is not saved", adapter + "webhookRequest",
				"a hook that nobody answers can stand; the hourly check and catching up find what it loses"},
			{"1b", "only 200 passes the handshake", "internal/api.server.receive",
				"a 204 would do as well; Postyard answers 200 in either case"},
			{"1c", "probes are sample events that are told from real ones", adapter + "isSample",
				"a probe is kept as an event without a message, and dropped after ten minutes; registration is not affected"},
			{"1d", "probes carry the webhook's credentials", adapter + "Adapter.Authentic",
				"probes would be answered 401 and no webhook could be registered: the endpoint would have to take unauthenticated samples"},
		},
		ask: askHandshake,
	}, {
		Number: 2, Title: "How often is a webhook tried again, and how long does Postmark wait for its answer?", Mails: 1, Public: true,
		Asks: "registers a webhook for deliveries, sends one mail, leaves the first report unanswered until Postmark hangs up, reads what the tries say " +
			"of those that are left, and removes the webhook",
		Defaults: []Default{
			{"2a", "an event is tried again nine times", "internal/provider.WebhookRetries",
				"fewer retries end sooner: catching up asks from 75 minutes before an absence, which covers any shorter ladder; more would need a longer time there"},
			{"2b", "Postmark waits 30 seconds for an answer", "internal/sandbox/hook.timeout",
				"the simulator is more or less patient than Postmark; Postyard answers after one commit"},
		},
		ask: askRetries,
	}, {
		Number: 3, Title: "What is the answer when only some recipients are inactive?", Mails: 1,
		Asks: "puts an address of Postmark's black hole on the stream's suppression list, sends one mail to the recipient with it as Cc, tries one to it alone, " +
			"and takes it off the list",
		Defaults: []Default{
			{"3a", "the mail is accepted with HTTP 200 and ErrorCode 0", adapter + "result.accepts",
				"the whole mail is refused as inactive: the recipient gets nothing, and the message ends as dropped with the reason"},
			{"3b", "the answer's text names the inactive addresses", adapter + "inactiveAddresses",
				"copies that are not delivered stay unnoticed; the message itself is not affected"},
			{"3c", "a mail with inactive recipients only is ErrorCode 406", adapter + "errorCodes",
				"it is judged by the code that comes instead; one that is not known refuses the message"},
		},
		ask: askInactive,
	}, {
		Number: 4, Title: "Is an unknown stream in one item of a batch the item's error, or the whole batch's?", Mails: 4,
		Asks: "creates a template, sends a batch with and one without it, each of one good mail and one for a stream that does not exist, and removes the template",
		Defaults: []Default{
			{"4a", "in /email/batch it is the item's error", simulator + "Simulator.sendMany",
				"nothing for Postyard, whose batches name one stream: there the refusal concerns every message, and stops the provider"},
			{"4b", "in /email/batchWithTemplates it is the item's error", simulator + "Simulator.sendMany",
				"as with /email/batch"},
			{"4c", "its ErrorCode is 1235", adapter + "errorCodes",
				"a code that is not known would refuse messages instead of stopping the provider"},
		},
		ask: askBatch,
	}, {
		Number: 5, Title: "Are unknown JSON fields ignored or refused?", Mails: 1,
		Asks: "sends one mail with a field that Postmark does not know",
		Defaults: []Default{
			{"5a", "they are ignored", adapter + "message",
				"nothing for Postyard, which sends documented fields only; the simulator is more lenient than Postmark"},
		},
		ask: askUnknownField,
	}, {
		Number: 6, Title: "What are the bodies of 413 and 429?",
		Asks: "sends one mail of 11 MB to an address that is none; 429 is not provoked, but kept when it comes",
		Defaults: []Default{
			{"6a", "a 413 has no ErrorCode in its body", adapter + "selfEvident",
				"nothing: the status alone decides, and the body's words are kept"},
			{"6b", "a 413 is answered to a body above 10 MB", "internal/provider/httpcall.StatusClass",
				"the answer is judged by its ErrorCode; Postyard keeps to smaller bodies"},
			{"6c", "a 429 has no body and no Retry-After", "internal/provider/httpcall.RetryAfter",
				"nothing: a Retry-After is obeyed within bounds, and a body's words are kept"},
		},
		ask: askLimits,
	}, {
		Number: 7, Title: "What exactly does a 401 of the account's routes say?",
		Asks: "asks for the list of servers with the server token, and for the server without a server token",
		Defaults: []Default{
			{"7a", "the text is that of a server's routes with the word Account", simulator + "textAccountToken",
				"nothing for Postyard, which reads the status; the simulator's words differ"},
			{"7b", "it is HTTP 401 with ErrorCode 10", adapter + "Adapter.badToken",
				"a token of the wrong kind is explained in general words"},
		},
		ask: askAccountRoutes,
	}, {
		Number: 8, Title: "Can an unsubscription be taken back by API?",
		Asks: "only when the recipient has unsubscribed from the stream: takes that one entry off the suppression list, for good",
		Defaults: []Default{
			{"8a", "it can", simulator + "Simulator.deleteSuppressions",
				"the entry stays at Postmark, which says Failed: mail to the address goes on being refused there"},
		},
		ask: askUnsubscription,
	}, {
		Number: 9, Title: "Are ten webhooks still the most for a stream?",
		Asks: "registers unverified webhooks, which get no events, until Postmark refuses one, at most 12 on the stream, and removes them",
		Defaults: []Default{
			{"9a", "ten are taken and the eleventh is ErrorCode 1359", adapter + "codeTooManyWebhooks",
				"a lower limit shows as too_many_webhooks when a provider is connected; a higher one does no harm"},
		},
		ask: askWebhookLimit,
	}, {
		Number: 10, Title: "When can a stream be archived (ErrorCode 1241)?", Optional: "archive",
		Asks: "creates a transactional stream and archives it at once; Postmark keeps an archived stream for about 45 days",
		Defaults: []Default{
			{"10a", "a fresh stream can be archived", simulator + "Simulator.archiveStream",
				"nothing for Postyard, which archives no streams; the simulator is more lenient than Postmark"},
		},
		ask: askArchive,
	}, {
		Number: 11, Title: "Which credentials win: those of HttpAuth, or those in the URL?", Public: true,
		Asks: "registers a webhook with credentials in its URL and in HttpAuth, reads what its probes carry, and removes it",
		Defaults: []Default{
			{"11a", "those of HttpAuth", adapter + "Adapter.saveWebhook",
				"nothing for Postyard, which puts none into the URL"},
		},
		ask: askPrecedence,
	}, {
		Number: 12, Title: "Does the token POSTMARK_API_TEST open routes that read?",
		Asks: "asks for the server, its streams and its webhooks with the token POSTMARK_API_TEST",
		Defaults: []Default{
			{"12a", "no: HTTP 401 with ErrorCode 10", adapter + "Adapter.Check",
				"what is answered has no server of the account's: a provider with that token fails at the stream, or sends nothing that is delivered"},
		},
		ask: askTestToken,
	}}
}

// known finds a default by its id.
func (q *Question) known(id string) (Default, bool) {
	for _, d := range q.Defaults {
		if d.ID == id {
			return d, true
		}
	}
	return Default{}, false
}
