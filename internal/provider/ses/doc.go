// Package ses is the adapter for Amazon SES: mail through its API of version 2, and its events through Amazon SNS.
//
// What must hold:
//
//   - Every message that goes in comes out with one classified outcome, in order, whatever the other side answers. A message is one call;
//     a Send makes several at once and leaves none behind.
//   - "Not sent" (Transient) is only said when SES cannot have the message. SES has no idempotency key, so a wrong "not sent" is a duplicate.
//   - An outcome is judged by SES's own name of the error before the HTTP status: throttling, a spent quota and a suspended account are all
//     HTTP 400. classify.go holds the table.
//   - A request of SNS is believed only when its signature is right, its certificate is from where such certificates are, and its topic is
//     the one that we made: anybody can have SNS sign requests of a topic of their own.
//   - The secret access key is in no request, no error and no outcome's text.
//   - Several connections, of several installations, may share one AWS account. They share the configuration set sendpost-events; each has
//     a topic and an event destination of its own, named after the hook. What others made is never changed or removed, and the
//     configuration set itself stays when the last of them goes, because mail that is on its way still names it.
//
// Each message leaves as MIME that package compose has written. Our ids travel as tags of the message, and come back with every event.
// Tags have a narrow alphabet, so what does not fit in them is replaced (see carry.go). SES always tracks opens and clicks, because the
// configuration set says so (SES-1, SES-2); trackOpens and trackClicks of a request change nothing.
//
// An access key has to be allowed ses:SendEmail, ses:SendRawEmail, ses:GetAccount, ses:CreateConfigurationSet,
// ses:GetConfigurationSetEventDestinations, ses:CreateConfigurationSetEventDestination, ses:UpdateConfigurationSetEventDestination,
// ses:DeleteConfigurationSetEventDestination, and sns:CreateTopic, sns:GetTopicAttributes, sns:SetTopicAttributes, sns:Subscribe,
// sns:ConfirmSubscription, sns:ListSubscriptionsByTopic, sns:GetSubscriptionAttributes, sns:Unsubscribe and sns:DeleteTopic.
//
// The forms of requests and answers are those of AWS's public reference of the SES API, version 2, and of the SNS API, version 2010-03-31.
// From there, and from no experience, come the operations that look at what stands and take it away: GetConfigurationSetEventDestinations,
// UpdateConfigurationSetEventDestination, DeleteConfigurationSetEventDestination, GetTopicAttributes, ListSubscriptionsByTopic,
// GetSubscriptionAttributes, Unsubscribe and DeleteTopic; and the parameter AuthenticateOnUnsubscribe of ConfirmSubscription.
//
// The package holds no state but its transport and a few certificates. It imports the contract and the domain (event, mail, secret) and
// must not import storage, dispatch, the API or the simulator (but for tests).
package ses
