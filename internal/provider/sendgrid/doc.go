// Package sendgrid is the adapter for Twilio SendGrid's v3 API: mail, the set-up of its Event Webhook, and the events that it posts.
//
// What must hold:
//
//   - Every message that goes in comes out with one classified outcome, in order, whatever the other side answers.
//   - "Not sent" (Transient) is only said when SendGrid cannot have the message: the request never left as a whole, or it is a 503.
//     SendGrid has no idempotency key and cannot be asked what it has, so a wrong "not sent" is a duplicate.
//   - A message is one personalization: its own `to`, cc and bcc, and our ids. Messages share a call only when all that personalizations
//     share is equal, and nobody learns of the recipients of another one.
//   - What leaves is what we rendered: no template, no substitutions and no sections, so that {{...}} in a body stays as it is.
//   - The API key is in the request's header and nowhere else: not in an error, not in an outcome's text.
//   - Event Webhooks that this package did not make are never changed.
//
// An answer to a send is judged in this order: no answer at all, by whether the request was written; then SendGrid's words, where they
// say more than the status (401 is also "out of credits", 403 also "this sender is not verified"); then the HTTP status.
//
// A call of several messages has one X-Message-Id for all of them, and one that is refused for one of them is refused for all: its outcomes
// say so (WholeCall), and smaller calls find out which one it was.
//
// Many problems show only after the 202, as dropped events: see drops.
//
// The package holds no state but its transport. It imports the contract, the domain (event, mail, secret) and the check of addresses
// that users set (ssrf), and must not import storage, dispatch, the API or the simulator (but for tests).
package sendgrid
