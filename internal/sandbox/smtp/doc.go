// Package smtp simulates a mail server that takes mail for others to deliver: EHLO, STARTTLS or TLS from the first byte, AUTH PLAIN and
// LOGIN, and an inbox where the mail ends. The protocol is github.com/emersion/go-smtp's.
//
// Its faults have stages for paths: /connect, /ehlo, /auth, /mail, /rcpt/<address>, /data (before any content) and /content (after the final dot).
// They are rules that name this provider, because a mail server's codes are not HTTP's.
package smtp
