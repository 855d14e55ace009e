// Package ses simulates Amazon SES (API version 2) and the part of Amazon SNS that its events need: sending, configuration sets and their
// event destinations, the account's suppression list and identities; topics, subscriptions and signed notifications. Error types, texts and
// payloads are those of the real services as far as they are known.
//
// A Simulator is one AWS account in one region. Only the seeded access key works: signatures (Signature Version 4) are verified over the
// whole of a request, within five minutes of the sandbox's clock. Every answer's Server header names the simulator, so that nothing can
// mistake it for Amazon's.
//
// Locking: Simulator.mu guards the account and everything below it. The store and the webhook engine have locks of their own and are called
// with or without mu held, but never call back.
package ses
