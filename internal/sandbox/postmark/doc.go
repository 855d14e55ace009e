// Package postmark simulates Postmark's API: servers, message streams, templates, webhooks, sending, events and the read side.
// Error codes, texts and payloads are those of the real service as far as they are known.
//
// A Simulator has an account with servers; each server has a token and its own streams, templates, webhooks and suppressions.
// Only seeded tokens work, and every answer's Server header names the simulator, so that nothing can mistake it for Postmark.
//
// Comments of the form PM-sim N name the numbered statement of the project's acceptance list for the simulator.
//
// Locking: Simulator.mu guards the servers and everything below them. The store and the webhook engine have locks of their own
// and are called with or without mu held, but never call back.
package postmark
