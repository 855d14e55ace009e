// Package toy is an adapter for a provider that does not exist: the shortest one that is whole. docs/adding-a-provider.md walks through
// it, and tests prove that nothing but this folder and a line of the registry makes it work. It is no part of the program.
//
// The provider takes messages at POST {endpoint}/messages, a list in one call, and answers with a result for each, in order. It reports to
// one webhook per URL, at /hooks, in lists of events, which it signs with the secret that it was given: the header Toy-Signature has the
// HMAC-SHA256 of the body in hexadecimal. [Server] plays it.
package toy
