// Package smtp is the adapter for mail servers that take mail by SMTP: TPSPs of type 6, custom SMTP.
//
// A message is one transaction: MAIL FROM, a RCPT TO for each of to, cc and bcc, DATA. A call carries its messages one after the
// other over one connection, which is kept for the next call. The server is not asked about messages afterwards, because SMTP has
// no words for that; nothing comes back by webhook either.
//
// A message counts as taken when the server answers 2xx after the final dot. When the connection ends after a part of that dot may
// have left and before the answer, nobody knows; before that, the server has no message. classify.go holds the table.
//
// The protocol is github.com/emersion/go-smtp's, the form of messages package compose's. go-smtp's client does not use
// PIPELINING: each command waits for its answer.
package smtp
