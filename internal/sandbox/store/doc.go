// Package store holds what the simulated providers were given: mails with their events, and the providers' documents (webhooks,
// templates, streams, suppressions). It knows nothing about any provider: content is opaque and found by keys that the provider
// names.
//
// Everything lives in memory; with a journal, everything is also on disk before the call that adds it returns, and Open reads it
// back in the order it was written. One line of the journal is one record:
//
//	{"mails":[...]}    accepted messages, with the provider's own bytes
//	{"raised":[...]}   events of messages, each with the webhooks that are to be told
//	{"done":[...]}     webhooks that have been told, or never will be
//	{"put":{...}}      a document, new or changed
//	{"delete":{...}}   a document removed
//
// Mails are never removed one by one; Reset removes all. Positions (Mail.Seq) are the order of acceptance and index all
// lookups, so that a lookup by key costs the size of its answer and not the size of the store.
package store
