// Package sendgrid simulates SendGrid's v3 API as far as sending needs it: mail send, the user's profile, event webhooks with their
// signatures, and the events. Error texts and payloads are those of the real service as far as they are known.
//
// A Simulator has one account with one key, webhooks and suppression lists. What is sent to an address of such a list is accepted, as it is
// there, and then dropped. Only the seeded key works, and every answer's Server header names the simulator, so that nothing can mistake it
// for SendGrid.
//
// A personalization is one mail in the store. The first of a request has the X-Message-Id of the answer for its id, the others have that
// with a dot and their position.
//
// What becomes of a recipient is decided step by step, each by what has happened so far, so that a restart goes on where it was:
//
//	(nothing) ─► processed ─► delivered │ bounce │ deferred ─► delivered
//	(nothing) ─► dropped
//
// Locking: Simulator.mu guards the account and everything below it. The store and the webhook engine have locks of their own and are
// called with or without mu held, but never call back.
package sendgrid
