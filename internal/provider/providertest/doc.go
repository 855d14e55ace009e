// Package providertest is the conformance suite that every provider adapter must pass.
//
// [Run] drives an adapter over real connections against scripted providers: one that answers, one that refuses single messages, ones
// that fail at each stage of a call, one whose webhooks others change. What it proves is what the product relies on: one outcome per
// message in order, classes that never call a message unsent when the provider may have it, prompt return when the context ends, a
// webhook that stands once and is not mistaken for another's, events that are believed only from the provider and are the same in
// every copy, no secret in any text, and no panic on foreign bytes.
//
// The cases are the same for all adapters, under the same names. Where a provider lacks something (it cannot be asked, it has no
// webhooks), the case proves that its adapter says so in the way that the contract wants. What is particular to one provider (its wire
// format, each of its error codes) is for that adapter's own tests.
//
// The package imports the contract and the domain only.
package providertest
