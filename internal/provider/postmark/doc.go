// Package postmark is the adapter for Postmark: mail with templates and, where it is allowed, without through its HTTP API, its
// templates, and its webhooks.
//
// What must hold:
//
//   - Every message that goes in comes out with one classified outcome, in order, whatever the other side answers.
//   - "Not sent" (Transient) is only said when Postmark cannot have the message: the request never left as a whole, or the
//     answer says so. All else that is not an answer is Ambiguous. Postmark has no idempotency key, so a wrong "not sent"
//     is a duplicate.
//   - The stream of the connection stands in every request; without one Postmark would silently use "outbound".
//   - Subject, HtmlBody and TextBody never stand beside a template (ErrorCode 1123), TemplateModel always does (1120).
//   - The server token is in the request's header and nowhere else: not in an error, not in an outcome's text.
//   - Webhooks that this package did not register are never changed.
//
// An answer is judged in this order: no answer at all, by whether the request was written; then the statuses that say
// everything by themselves (401, 413, 429, 503); then Postmark's ErrorCode by the table in classify.go; then the HTTP
// status. ErrorCodes overlap with HTTP statuses but are other numbers with other meanings.
//
// The package holds no state but its transport. It imports the contract and the domain (event, mail, secret) and must not
// import storage, dispatch, the API or the simulator (but for tests).
package postmark
