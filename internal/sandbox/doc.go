// Package sandbox is a simulator of email providers with an inbox to look at: what `postyard sandbox` runs, and what gateways are
// tested against when nobody wants to send real mail: Postmark, SendGrid, Amazon SES, and a mail server.
//
// One Sandbox serves, on one address:
//
//	/                 Postmark's API, as Postmark has it; for browsers, the inbox
//	/v3/...           SendGrid's
//	/v2/email/...     Amazon SES's; Amazon SNS's is POST / with a form
//	/sandbox          the inbox: every mail it got, rendered
//	/sandbox/hook     the registered webhooks, and what was posted to them
//	/sandbox/...      the control API, JSON, without credentials
//
// The control API:
//
//	GET    /sandbox/health
//	GET    /sandbox/messages?to=&messageId=&limit=&offset=   what was accepted, oldest first; messageId is Metadata.messageId
//	GET    /sandbox/arrivals?limit=&offset=                  the same without contents: id, messageId, receivedAt
//	GET    /sandbox/messages/{id}                            one of them, by the provider's id
//	GET    /sandbox/messages/{id}/source                     as it came by SMTP, byte by byte
//	POST   /sandbox/messages/{id}/events                     {"kind":"open"|"click"|"complaint"|"unsubscribe"|"bounce"|...,"recipient","url","type"}
//	GET    /sandbox/faults   PUT /sandbox/faults   DELETE /sandbox/faults
//	GET    /sandbox/settings PUT /sandbox/settings?server=
//	GET    /sandbox/servers  POST /sandbox/servers {"name","token"}  DELETE /sandbox/servers/{name or token}
//	GET    /sandbox/smtp                                     how to reach the mail server, and the certificate to trust
//	GET    /sandbox/webhooks                                 the latest attempts to deliver webhooks, newest first
//	GET    /sandbox/hooks                                    the registered webhooks
//	POST   /sandbox/hooks/{id}/test?server=                  {"trigger"}: post samples to one;  .../verify?server=: verify it
//	GET    /sandbox/clock    PUT /sandbox/clock {"held","now"}
//	POST   /sandbox/clock/advance                            {"ms"}
//	POST   /sandbox/reset?webhooks=                          back to the seed; webhooks stay, unless webhooks=true
//
// What it refuses is answered with {"error":"..."}. Webhooks and added servers survive a reset because the gateway that uses them does
// not hear of it: after "reset, send" the delivery is still reported. A click may be on any link, as long as the mail tracks links; a repeated one raises
// no event, which a note explains.
//
// Recipients with a fate, besides Postmark's own <Type>@bounce-testing.postmarkapp.com and test@blackhole.postmarkapp.com:
// <Type>@bounce.sandbox.test bounces as that type, complaint@bounce.sandbox.test is delivered and then complains,
// blackhole@bounce.sandbox.test is delivered. Other providers have types of their own there. A +tag after the type is ignored, so that many recipients can share a fate.
//
// With a data directory, what was acknowledged survives a kill, and events and webhooks that were due are taken up again on the
// next start. Nothing in the sandbox ever connects to another machine. It must not import the gateway's packages: what it
// simulates is the other side.
package sandbox
