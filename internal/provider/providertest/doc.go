// Package providertest is the conformance suite that every provider adapter must pass.
//
// Run drives an adapter over real HTTP against scripted servers: a provider that answers, one that refuses single messages,
// and ones that fail at each stage of a call. What it proves is what the dispatcher relies on: one outcome per message in
// order, classes that never call a message unsent when the provider may have it, prompt return when the context ends, no
// secret in any text, and no panic on foreign bytes.
//
// What is particular to one provider (its wire format, its error codes) is for that adapter's own tests. The package imports
// the contract and the domain only.
package providertest
