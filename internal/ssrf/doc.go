// Package ssrf makes HTTP requests to URLs that users set (webhooks, a provider's endpoint) safe for the network that
// the server stands in: it keeps them off loopback, private and other special addresses (server-side request forgery).
//
// Two checks work together:
//
//   - [CheckURL] looks at the URL when it is saved, to tell the user at once. It does not resolve names.
//   - [NewTransport] checks the address of every connection, after the name was resolved and just before the connect.
//     A name that changes its address in between (DNS rebinding), one with several addresses, a redirect and an odd
//     spelling of an IP address all pass through here. This is the check that protects.
//
// The transport uses no proxy, whatever the environment says: a proxy resolves the name itself and connects from its own
// place, where no check of ours holds. That is so with AllowPrivate too, because a switch for private addresses must
// not also change the way that mail takes.
//
// The package imports nothing else of this module.
package ssrf
