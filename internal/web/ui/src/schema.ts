// The bodies and answers of the API. Written from the code by `go test ./internal/api -update`.

export interface Address {
  "email"?: string;
  "name"?: string;
}

export interface AllocateRequest {
  "ips"?: (string)[];
  "overflowPool"?: boolean;
}

export interface ApiAttachment {
  /** from 0 */
  "n": number;
  "name": string;
  "type": string;
  /** bytes */
  "size": number;
}

export interface ApiLabel {
  "id": number;
  "name": string;
  "created": number;
  "color": string;
}

export interface ApiRecipient {
  "name": string;
  "email": string;
  "cc": (string)[];
  "bcc": (string)[];
  "customFields": Record<string, string>;
}

export interface Attachment {
  "filename"?: string;
  "content"?: string;
}

export interface Attempt {
  "n": number;
  /** TPSP_5 */
  "egress": string;
  "tpspId": number;
  "ipId": number;
  /** the provider's name in this account, or the IP's address */
  "provider": string;
  "began": number;
  /** 0 while the call is open */
  "finished": number;
  /** 0 while the call is open */
  "durationMs": number;
  /** accepted, rejected, inactive, transient, throttled, account, ambiguous; "" while the call is open */
  "class": string;
  /** 0 when there was no answer */
  "httpStatus": number;
  /** the provider's own */
  "code": string;
  /** the provider's words, or the transport's */
  "text": string;
  /** what the provider said when it was asked about the attempt, or reported of it */
  "answer": string;
  /** accepted, and taken back by the provider later, for a reason of its own: its class and the provider's words */
  "takenBack": string;
}

export interface Attention {
  "kind": string;
  /** fail: mail or events do not get through; warn: some do not, or are meant to wait; note: to know before it matters */
  "severity": string;
  /** the ids say what it is about; 0: not about one */
  "tpspId": number;
  "ipId": number;
  "ipPoolId": number;
  "webhookId": number;
  "subAccountId": number;
  /** of what it is about */
  "name": string;
  "message": string;
  /** what puts it right, "" when it ends by itself */
  "fix": string;
  /** 0: it is not known */
  "since": number;
  /** when it is tried again or ends; 0: it is not known */
  "until": number;
}

export interface Audit {
  "id": number;
  "at": number;
  "actor": AuditActor;
  /** of a member, as it was then; "" of others */
  "role": string;
  /** where the request came from */
  "address": string;
  "method": string;
  /** with the query */
  "path": string;
  /** as this document sums it up */
  "operation": string;
  /** what was changed; "" when it has no name */
  "target": string;
  /** of the answer; 0: it began, and it is not known what came of it */
  "status": number;
  /** what was asked for, without secrets */
  "changes": unknown;
  /** what stood there under the same names, where it differs */
  "before": unknown;
}

export interface AuditActor {
  /** member, account-key, sub-account-key, system */
  "kind": string;
  "id": number;
  /** of the member the email, of others the name, as it was then */
  "name": string;
}

export interface Awaiting {
  "messageID": string;
  "egress": string;
  "providerMessageId": string;
  "since": number;
}

export interface BlockRequest {
  "reason"?: string;
}

export interface Branch {
  "id": number;
  "name": string;
  /** made with the account; it cannot be deleted */
  "default": boolean;
  "parentId": number | null;
  /** from 1 */
  "level": number;
  /** directly under it, by name */
  "children": (number)[];
  /** it alone */
  "paused": boolean;
  /** most messages in any 60 minutes, with those of all under it; 0: no limit */
  "ratePerHour": number;
  /** how many count at present, with those of all under it */
  "taken": number;
  /** when the next one may go, in ns; 0: now */
  "freeAt": number;
  /** it, or one above it */
  "blocked": boolean;
  /** who is blocked: itself or the nearest one above it; 0: none */
  "blockedBy": number;
  /** since when, in ns */
  "blockedAt": number;
  "blockReason": string;
  /** it sends nothing at present, for people; "" when it may */
  "why": string;
  "created": number;
  "labels": (Label)[];
  /** its own */
  "stat": StatCounters;
  /** and that of all under it */
  "withChildren": StatCounters;
}

export interface Cancel {
  "dryRun": boolean;
  /** found waiting */
  "matched": number;
  /** and dropped; the others left meanwhile */
  "cancelled": number;
  /** the time was over: send the same body again, with next */
  "more": boolean;
  "next": string;
}

export interface CancelRequest {
  "group"?: string;
  /** by name, as requests name it */
  "ippool"?: string;
  "subAccountId"?: number;
  /** only count */
  "dryRun"?: boolean;
  /** from the last answer, to go on */
  "next"?: string;
}

export interface Cancelled {
  /** false: it did not wait any more */
  "cancelled": boolean;
  /** where it stands */
  "state": string;
}

export interface CatchUp {
  "since": number;
  /** waiting, running, failed */
  "state": string;
  "message": string;
  "nextTry": number;
}

export interface CatchUpRequest {
  /** an instant, or how long ago it was; the usual is a day */
  "since"?: string;
  /** 0: all of the account */
  "tpspId"?: number;
}

export interface CaughtUp {
  "tpspId": number;
  "name": string;
  "since": number;
  /** one by one */
  "messagesAsked": number;
  /** what the provider told, whatever it was about */
  "reports": number;
  /** events that were new */
  "recorded": number;
  /** events that were known */
  "duplicates": number;
  /** what the provider does not let be read */
  "missing": (string)[];
  "error": string;
}

export interface Check {
  "check": string;
  /** 0: it is about the account */
  "tpspId": number;
  "tpsp": string;
  /** ok, warn, fail */
  "status": string;
  "message": string;
  /** what repairs it, "" when it is ok */
  "fix": string;
}

export interface ClientRow {
  "client": string;
  "opened": number;
  "uniqueOpened": number;
  "clicked": number;
  "uniqueClicked": number;
}

export interface ComparedEgress {
  /** 0: an IP */
  "tpspId": number;
  /** 0: a provider */
  "ipId": number;
  /** the provider's name in this account, or the IP's address */
  "name": string;
  "total": ComparedLane;
  "mailboxes": (ComparedLane)[];
}

export interface ComparedLane {
  /** the mailbox provider; "" in a total */
  "provider": string;
  /** messages that the egress took; all rates are of them */
  "accepted": number;
  "delivered": ComparedRate;
  "hardBounced": ComparedRate;
  "softBounced": ComparedRate;
  /** complaints */
  "spam": ComparedRate;
  /** messages that were opened at least once */
  "opened": ComparedRate;
  /** messages in which a link was clicked at least once */
  "clicked": ComparedRate;
  /** from acceptance to delivery; null when a group is asked for */
  "delay": ComparedTime | null;
  /** null when a group is asked for */
  "failovers": Failovers | null;
}

export interface ComparedRate {
  "count": number;
  "rate": number | null;
  /** the lower end of the 95 % interval (Wilson) */
  "low": number | null;
  /** the upper end */
  "high": number | null;
}

export interface ComparedTime {
  /** that it is based on */
  "deliveries": number;
  "medianMs": number | null;
  /** the 95th percentile */
  "p95Ms": number | null;
}

export interface Comparison {
  /** the first day, YYYY-MM-DD in UTC */
  "from": string;
  /** the last day */
  "to": string;
  "egresses": (ComparedEgress)[];
}

export interface Content {
  "messageID": string;
  "from": Person;
  /** null: there is none */
  "replyTo": Person | null;
  "to": Person;
  "cc": (Person)[];
  "bcc": (Person)[];
  "subject": string;
  "preText": string;
  "headers": Record<string, string>;
  "html": string;
  "text": string;
  "amp": string;
  /** that the request names, "" for none */
  "template": string;
  /** what is filled in: the custom fields */
  "model": unknown;
  /** who fills it in: request (nothing is, or the request's own tags), postyard (the mirrored template), provider (a preview from the mirror), none */
  "rendered": string;
  /** what is to be known of the above, "" for nothing */
  "note": string;
  "attachments": (ApiAttachment)[];
  /** null: it is not known */
  "source": Source | null;
}

export interface Count {
  "count": number;
}

export interface Counter {
  "subAccountId": number;
  "egress": string;
  "mailbox": string;
  "type": number;
  /** of the type */
  "name": string;
  "copy": boolean;
}

export interface CountryRow {
  "country": string;
  "opened": number;
  "uniqueOpened": number;
  "clicked": number;
  "uniqueClicked": number;
}

export interface Cycle {
  /** YYYY-MM-DD */
  "from": string;
  /** today */
  "to": string;
  "processed": number;
}

export interface DailyStat {
  "date": string;
  "stat": StatCounters;
}

export interface Delay {
  "delivered": number;
  "meanMs": number;
  "medianMs": number;
  "p95Ms": number;
  "spans": (DelaySpan)[];
}

export interface DelaySpan {
  /** 0: longer than all spans */
  "upToSeconds": number;
  "delivered": number;
}

export interface Deleted {
  "id": number;
  "message": string;
}

export interface Detail {
  "smtpCode"?: number;
  "smtpDescription"?: string;
  "userAgent"?: UserAgent;
  "os"?: OperatingSystem;
  "device"?: Device;
  "geo"?: Geo;
  "clickedURL"?: string;
  "trackedIP"?: string;
  "rawUserAgent"?: string;
  /** the provider's own fields: RecordType, MessageID, Tag, ... */
  "provider"?: Record<string, string>;
}

export interface Device {
  "Family": string;
}

export interface DeviceRow {
  "device": string;
  "opened": number;
  "uniqueOpened": number;
  "clicked": number;
  "uniqueClicked": number;
}

export interface Difference {
  "kind": string;
  "messageID": string;
  /** YYYY-MM-DD */
  "day": string;
  /** null when it is about no counter */
  "counter": Counter | null;
  /** null when it is about no facet or label */
  "facet": Facet | null;
  "stored": string;
  "recomputed": string;
}

export interface DnsRecord {
  "host": string;
  "type": string;
  "textValue": string;
}

export interface Domain {
  "id": number;
  "name": string;
  "dkim": DnsRecord;
  "spf": DnsRecord;
  "returnPath": DnsRecord;
  "track": DnsRecord;
  "dmarc": DnsRecord;
  "gpt": DnsRecord;
  "dkimConfig": string;
  "dkimVerified": boolean;
  "spfVerified": boolean;
  "mailboxVerified": boolean;
  "dmarcVerified": boolean;
  "returnPathVerified": boolean;
  "trackVerified": boolean;
  "gptVerified": boolean;
  "verified": boolean;
  "domainRegisteredDate": string;
  "created": number;
  "dmarcFailureReason": string;
  "dkimFailureReason": string;
  "trackFailureReason": string;
  "returnPathFailureReason": string;
}

export interface DomainExists {
  "exists": boolean;
}

export interface DomainRow {
  /** 0 when there is no such domain */
  "id": number;
  "name": string;
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  "spam": number;
}

export interface DomainVerified {
  "verified": boolean;
}

export interface DrillRequest {
  /** 0 ends it */
  "seconds"?: number;
}

export interface EmailResponse {
  "to": string;
  "submittedAt": number;
  "messageId": string;
  "errorCode": number;
  "message": string;
}

export interface Engagement {
  "opened": number;
  "uniqueOpened": number;
  "clicked": number;
  "uniqueClicked": number;
}

export interface Event {
  "eventID": string;
  "groups": (string)[];
  "ipID": number;
  "ipPoolID": number;
  "domainID": number;
  /** 0: native */
  "tpspId": number;
  "messageType": string;
  "messageSubject": string;
  "accountID": number;
  "subAccountID": number;
  "messageID": string;
  "type": number;
  "from": string;
  "fromName": string;
  "to": string;
  "toName": string;
  "submittedAt": number;
  "smtpCode": number;
  "smtpDescription": string;
  "eventMetadata": Detail;
}

export interface EventOfHit {
  "eventId": string;
  "type": number;
  "name": string;
  "at": number;
  /** the provider's */
  "words": string;
}

export interface Explain {
  "messageID": string;
  /** queued, sending, unknown, sent, delivered, bounced, dropped */
  "state": string;
  /** while pending: why */
  "waiting": string;
  /** while pending: until when, in ns; 0 when it may leave at once */
  "dueAt": number;
  /** resent: may be a duplicate; unconfirmed: may be lost; "" for all others */
  "mark": string;
  "tpspId": number;
  /** 0: through a TPSP */
  "ipId": number;
  "providerMessageId": string;
  "plan": Plan;
  /** in their order */
  "attempts": (Attempt)[];
}

export interface ExportRequest {
  "format"?: string;
  "search"?: string;
  "type"?: (number)[];
  "messageId"?: string;
  "recipient"?: string;
  "from"?: string;
  "to"?: string;
  "provider"?: string;
  "source"?: string;
  "sourceId"?: number;
  "tpspId"?: number;
  "ipId"?: number;
  "subAccountId"?: number;
  "mailbox"?: string;
  "group"?: string;
  "domain"?: string;
  "reason"?: string;
  "device"?: string;
  "client"?: string;
  "os"?: string;
  "country"?: string;
  "first"?: boolean;
}

export interface Facet {
  "dimension": string;
  "value": string;
  "subAccountId": number;
}

export interface FailedAttempt {
  "messageID": string;
  "n": number;
  /** TPSP_5 */
  "egress": string;
  "tpspId": number;
  "ipId": number;
  /** the provider's name in this account, or the IP's address */
  "provider": string;
  "began": number;
  /** 0 while the call is open */
  "finished": number;
  /** 0 while the call is open */
  "durationMs": number;
  /** accepted, rejected, inactive, transient, throttled, account, ambiguous; "" while the call is open */
  "class": string;
  /** 0 when there was no answer */
  "httpStatus": number;
  /** the provider's own */
  "code": string;
  /** the provider's words, or the transport's */
  "text": string;
  /** what the provider said when it was asked about the attempt, or reported of it */
  "answer": string;
  /** accepted, and taken back by the provider later, for a reason of its own: its class and the provider's words */
  "takenBack": string;
}

export interface Failovers {
  /** this one was the first */
  "away": number;
  /** this one carried them */
  "in": number;
}

export interface Failures {
  /** of a week, the last one first, five at most */
  "attempts": (FailedAttempt)[];
}

export interface Field {
  "name": string;
  "holds": string;
  "required": boolean;
}

export interface FirstChoice {
  /** TPSP_5 */
  "egress": string;
  "tpspId": number;
  "ipId": number;
  "name": string;
  "messages": number;
  /** of 1 */
  "share": number;
}

export interface Geo {
  "cityID": string;
  "continentCode": string;
  "countryCode": string;
  "postalCode": string;
  "timeZone": string;
  "city": string;
  "country": string;
  "region": string;
  "regionCode": string;
  "latitude": number;
  "longitude": number;
}

export interface GroupRow {
  "group": string;
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  "spam": number;
}

export interface Health {
  /** ok, impaired (some mail is refused), stopped, paused, drill; of an IP also missing: it is not configured any more */
  "state": string;
  "reason": string;
  /** 0 when it is not known */
  "since": number;
  /** when mail tries it again, 0 when that depends on nothing but the user */
  "probeAt": number;
  "refusedSenders": (Refusal)[];
}

export interface Hit {
  "id": string;
  "submittedAt": number;
  "to": Person;
  "from": Person;
  /** as the request has it */
  "subject": string;
  /** of a message without a subject: the template that it names, "" for none */
  "template": string;
  /** queued, sending, unknown, sent, delivered, bounced, dropped */
  "state": string;
  "mark": string;
  "mailboxProvider": string;
  /** its name in this account, or the IP's address: who has the message, or whom it waits for */
  "provider": string;
  "providerKind": string;
  "tpspId": number;
  "ipId": number;
  "poolId": number;
  "pool": string;
  "subAccountId": number;
  "subAccount": string;
  "groups": (string)[];
  "attempts": number;
  "opened": boolean;
  "clicked": boolean;
  "lastEvent": EventOfHit | null;
  /** while pending: why */
  "waiting": string;
  /** while pending: until when; 0: at once, or up to somebody */
  "dueAt": number;
}

export interface Hook {
  "id": number;
  "enabled": boolean;
  "url": string;
  "processed": boolean;
  "delivered": boolean;
  "dropped": boolean;
  "softBounced": boolean;
  "hardBounced": boolean;
  "opened": boolean;
  "clicked": boolean;
  "unsubscribed": boolean;
  "spam": boolean;
  "sent": boolean;
  "smtpDropped": boolean;
  "uniqueOpen": boolean;
  "uniqueClick": boolean;
  "created": number;
  "created_by": string | null;
  "updated_by": string | null;
}

export interface Import {
  "dryRun": boolean;
  /** addresses that could be read */
  "read": number;
  /** of them, those that are suppressed now; 0 of a dry run */
  "suppressed": number;
  "refusedCount": number;
  /** the first 1,000 lines */
  "refused": (Line)[];
}

export interface Ip {
  "id": number;
  "publicIP": string;
  "created": number;
  "type": number;
  /** 1: mail leaves through it; 0: not now */
  "state": number;
  /** there are none */
  "labels": (Record<string, unknown>)[];
  "gmailSettings"?: string;
  "yahooSettings"?: string;
  "aolSettings"?: string;
  "microsoftSettings"?: string;
  "comcastSettings"?: string;
  "yandexSettings"?: string;
  "gmxSettings"?: string;
  "mailruSettings"?: string;
  "icloudSettings"?: string;
  "zohoSettings"?: string;
  "qqSettings"?: string;
  "defaultSettings"?: string;
  "attSettings"?: string;
  "office365Settings"?: string;
  "googleworkspaceSettings"?: string;
  "proofpointSettings"?: string;
  "mimecastSettings"?: string;
  "barracudaSettings"?: string;
  "ciscoironportSettings"?: string;
  "rackspaceSettings"?: string;
  "zohobusinessSettings"?: string;
  "amazonworkmailSettings"?: string;
  "symantecSettings"?: string;
  "fortinetSettings"?: string;
  "sophosSettings"?: string;
  "trendmicroSettings"?: string;
  "checkpointSettings"?: string;
}

export interface IpChanges {
  "autoWarmupEnabled"?: boolean;
  "active"?: boolean;
  "ambiguousPolicy"?: string;
  "ratePerHour"?: number;
  /** by mailbox provider: its key ("gmail"), or its SendPost id ("0") */
  "mailboxLimits"?: Record<string, number>;
}

export interface IpReference {
  "publicIP"?: string;
}

export interface IpRow {
  "ipid": number;
  "publicIP": string;
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  "spam": number;
}

export interface IpSettings {
  "id": number;
  "publicIP": string;
  /** the server's configuration has a mail server for it */
  "configured": boolean;
  "autoWarmupEnabled": boolean;
  "active": boolean;
  /** at-least-once, at-most-once */
  "ambiguousPolicy": string;
  /** 0: no limit */
  "ratePerHour": number;
  "mailboxLimits": Record<string, number>;
  "health": Health;
  "usage": Usage;
}

export interface Kind {
  "type": number;
  /** in URLs and filters: postmark */
  "name": string;
  /** for people: Postmark */
  "title": string;
  /** what a connection holds, in the order in which people fill it in */
  "fields": (Field)[];
  /** a connection is to one message stream, which is chosen from those that its key opens */
  "streams": boolean;
  /** it holds templates, and renders them */
  "templates": boolean;
  /** messages without a template are carried only where allowRaw is set */
  "allowRaw": boolean;
  /** it reports events by webhook */
  "reports": boolean;
  /** missed events can be read back */
  "recalls": boolean;
  /** its suppression list can be kept in step */
  "suppresses": boolean;
  /** the limit of a new connection for which none is given; 0: none */
  "ratePerHour": number;
}

export interface Label {
  "id": number;
  "name": string;
  "created": number;
}

export interface LabelRequest {
  "name"?: string;
  "color"?: string;
}

export interface Lane {
  /** the mailbox provider; "" in a total */
  "provider": string;
  /** the limit of messages in any 60 minutes; 0: none */
  "ratePerHour": number;
  /** permits that are taken of it now; they are counted without a limit as well */
  "taken": number;
  /** when the next message may leave, where the limit is reached; else 0 */
  "freeAt": number;
  /** messages that wait, as many as were looked at */
  "waiting": number;
  /** there are more */
  "more": boolean;
  /** when the oldest of them was accepted */
  "oldest": number;
  /** why they wait, what most wait for first; empty in a total */
  "waits": (Wait)[];
}

export interface Line {
  /** from 1 */
  "line": number;
  "message": string;
}

export interface ListedEmail {
  "email"?: string;
}

export interface MailServerRequest {
  "endpoint"?: string;
  "port"?: number;
  /** user name */
  "key"?: string;
  /** password */
  "secret"?: string;
  /** the name for EHLO */
  "domain"?: string;
}

export interface MailSettings {
  "sandbox_mode"?: SendGridSetting;
  "bypass_list_management"?: SendGridSetting;
  "bypass_spam_management"?: SendGridSetting;
  "bypass_bounce_management"?: SendGridSetting;
  "bypass_unsubscribe_management"?: SendGridSetting;
  "footer"?: SendGridSetting;
  "spam_check"?: SendGridSetting;
  "bcc"?: SendGridSetting;
}

export interface Member {
  "id": number;
  "email": string;
  "name": string;
  /** owner, admin, viewer */
  "role": string;
  /** they have a password */
  "joined": boolean;
  /** until when an invitation of theirs is good; 0: there is none */
  "invitedUntil": number;
  /** when they were invited first */
  "created": number;
  /** when a session of theirs was used last, to within minutes; 0: they have none */
  "lastSeen": number;
  /** where they join or get another password, once; it is not shown again */
  "invitation"?: string;
}

export interface MemberChanges {
  "name"?: string;
  "role"?: string;
}

export interface MemberRequest {
  "email"?: string;
  "name"?: string;
  "role"?: string;
}

export interface Message {
  "messageID": string;
  "accountID": number;
  "subAccountID": number;
  /** 0: it leaves through a TPSP */
  "ipID": number;
  "accountIPPoolID": number;
  "publicIP": string;
  "localIP": string;
  "emailType": string;
  "submittedAt": number;
  "from": Person;
  "replyTo": Person;
  "to": ApiRecipient;
  "headerTo": ApiRecipient;
  "headerCc": (string)[];
  "headerBcc": (string)[];
  /** file names */
  "attachments": (string)[];
  "groups": (string)[];
  "ipPool": string;
  "headers": Record<string, string>;
  /** the request's own */
  "customFields": Record<string, string>;
  "subject": string;
  "preText": string;
  "htmlBody": string;
  "textBody": string;
  "ampBody": string;
  "trackOpens": boolean;
  "trackClicks": boolean;
  "attempt": number;
  "webhookEndpoint": string;
  "mxRecords": (string)[];
}

export interface MessageHook {
  "webhookId": number;
  "url": string;
  /** by the message (webhookEndpoint) */
  "named": boolean;
  "eventId": string;
  "type": number;
  /** the type's name */
  "event": string;
  /** of the event */
  "occurredAt": number;
  /** waiting, retry, delivered, given-up */
  "state": string;
  /** calls that were made */
  "attempts": number;
  /** of state retry */
  "nextTry": number;
  /** of the last call; 0: none was made, or it is not kept any more */
  "lastAt": number;
  /** 0: there was no answer */
  "lastStatus": number;
  /** "" for a success */
  "lastError": string;
  /** how long it took */
  "lastTookMs": number;
  /** why the endpoint is posted nothing now, "" when it is */
  "webhookNote": string;
}

export interface NameRequest {
  "name"?: string;
}

export interface NamedWebhook {
  "id": number;
  "url": string;
  "state": string;
  "created": number;
}

export interface OfficialTPSP {
  "id": number;
  "name": string;
  "type": number;
  "domain": string;
  "endpoint": string;
  "key": string;
  "secret": string;
  "port": number;
  "oauthToken": string;
  "retryTime": number;
  "created": number;
}

export interface OpenTracking {
  "enable"?: boolean;
  "substitution_tag"?: string;
}

export interface OperatingSystem {
  "Family": string;
  "Major": string;
  "Minor": string;
  "Patch": string;
  "PatchMinor": string;
}

export interface OsRow {
  "os": string;
  "opened": number;
  "uniqueOpened": number;
  "clicked": number;
  "uniqueClicked": number;
}

export interface PassedOver {
  /** TPSP_5 */
  "egress": string;
  "tpspId": number;
  "ipId": number;
  "name": string;
  "reason": string;
}

export interface Paused {
  "id": number;
  "name": string;
  "paused": boolean;
}

export interface Person {
  "name": string;
  "email": string;
}

export interface Personalization {
  "from"?: Address;
  "to"?: (Address)[];
  "cc"?: (Address)[];
  "bcc"?: (Address)[];
  "subject"?: string;
  "headers"?: Record<string, string>;
  "substitutions"?: Record<string, string>;
  "dynamic_template_data"?: unknown;
  "custom_args"?: Record<string, string>;
  "send_at"?: unknown;
}

export interface Place {
  "id": number;
  "name": string;
  /** made with the account; it cannot be deleted */
  "default": boolean;
  "parentId": number | null;
  /** from 1 */
  "level": number;
  /** directly under it, by name */
  "children": (number)[];
  /** it alone */
  "paused": boolean;
  /** most messages in any 60 minutes, with those of all under it; 0: no limit */
  "ratePerHour": number;
  /** how many count at present, with those of all under it */
  "taken": number;
  /** when the next one may go, in ns; 0: now */
  "freeAt": number;
  /** it, or one above it */
  "blocked": boolean;
  /** who is blocked: itself or the nearest one above it; 0: none */
  "blockedBy": number;
  /** since when, in ns */
  "blockedAt": number;
  "blockReason": string;
  /** it sends nothing at present, for people; "" when it may */
  "why": string;
  "created": number;
}

export interface PlaceRequest {
  /** null: under none */
  "parentId"?: unknown;
  /** 0: no limit */
  "ratePerHour"?: number;
}

export interface Plan {
  "rule": string;
  /** in the order in which they are tried: TPSP_5 */
  "egresses": (string)[];
  "skipped": (Skipped)[];
}

export interface Pool {
  "id": number;
  "name": string;
  /** 0 shared, 1 dedicated */
  "type": number;
  "created": number;
  "ips": (Ip)[];
  "thirdPartySendingProviders": (OfficialTPSP)[];
  "toAccountIPPools": (Pool)[];
  "routingStrategy": number;
  /** JSON inside a string */
  "routingMetaData": string;
  "autoWarmupEnabled": boolean;
  "infraMonitor": boolean;
  "ipDomainWarmupStatus": string | null;
  "shouldOverflow": boolean;
  "overflowPoolName": string;
  /** hours */
  "warmupInterval": number;
}

export interface PoolReference {
  "id": number;
  "name": string;
}

export interface PoolRequest {
  "name"?: string;
  "ips"?: (IpReference)[];
  "tpsps"?: (number)[];
  "routingStrategy"?: number;
  "routingMetaData"?: string;
  /** that others overflow into this pool: they say so themselves */
  "overflowPool"?: boolean;
  "warmupInterval"?: number;
  "overflowStrategy"?: number;
  "overflowPoolName"?: string;
  "toAccountIPPools"?: (string)[];
  "priority"?: number;
  /** seconds */
  "ttl"?: number;
}

export interface PoolSettings {
  "priority": number;
  "paused": boolean;
  /** 0: the server's own */
  "ttlSeconds": number;
}

export interface Preview {
  /** where the message would go; null when none was asked about */
  "route": Route | null;
  "shares": (Share)[];
  "warnings": (Warning)[];
}

export interface PreviewRequest {
  "name"?: string;
  "ips"?: (IpReference)[];
  "tpsps"?: (number)[];
  "routingStrategy"?: number;
  "routingMetaData"?: string;
  /** that others overflow into this pool: they say so themselves */
  "overflowPool"?: boolean;
  "warmupInterval"?: number;
  "overflowStrategy"?: number;
  "overflowPoolName"?: string;
  "toAccountIPPools"?: (string)[];
  "priority"?: number;
  /** seconds */
  "ttl"?: number;
  /** of the pool that would be changed: what is absent is as it is there; 0: a new one */
  "id"?: number;
  /** "": only the shares are asked for */
  "to"?: string;
  "from"?: string;
  "subject"?: string;
  "tpspTemplate"?: string;
  "seq"?: number;
  /** messages that are counted for each share; 0 is 1,000 */
  "sample"?: number;
}

export interface Probe {
  /** the kind of event that it stands for, in the provider's words */
  "trigger": string;
  "success": boolean;
  /** 0 when there was no answer */
  "statusCode": number;
  "message": string;
}

export interface Problem {
  /** stable, snake_case */
  "code": string;
  /** for people */
  "message": string;
  /** the field, header or parameter to blame, "" when none is */
  "field": string;
  /** finds the request in the log */
  "requestId": string;
}

export interface ProviderRow {
  "provider": string;
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  "spam": number;
}

export interface Reactivated {
  /** of the first suppression that ended, 0 when none did */
  "id": number;
  "message": string;
}

export interface ReactivationRequest {
  "suppressions"?: (ListedEmail)[];
}

export interface ReasonRow {
  "reason": string;
  "hardBounced": number;
  "softBounced": number;
}

export interface Recipient {
  "email"?: string;
  "name"?: string;
  "cc"?: (Address)[];
  "bcc"?: (Address)[];
  /** a JSON object, or empty */
  "customFields"?: unknown;
}

export interface Refusal {
  "domain": string;
  "reason": string;
  "since": number;
  "probeAt": number;
}

export interface Refused {
  "email": string;
  /** suppress, reactivate */
  "change": string;
  "message": string;
}

export interface Route {
  /** the recipient's mailbox provider */
  "mailbox": string;
  /** the sender's domain */
  "sender": string;
  /** the pool's mail waits */
  "paused": boolean;
  /** the place in the pool's sequence that was asked about */
  "seq": number;
  "rule": string;
  /** in the order in which they are tried */
  "egresses": (Way)[];
  /** where in egresses the overflow pool begins; 0: nowhere */
  "overflow": number;
  "skipped": (PassedOver)[];
  /** why nobody can carry the message, "" when somebody can */
  "refusal": string;
  /** with the parameter sample: the first choices of so many messages in a row */
  "sample": (FirstChoice)[];
}

export interface Search {
  /** newest first */
  "messages": (Hit)[];
  /** there may be others */
  "more": boolean;
  /** given as before, it goes on from here; "" when there are no more */
  "cursor": string;
  "lookedBackTo": number;
}

export interface Secret {
  "secret": string;
  /** until when the former one signs as well; 0: there is none */
  "formerValidTo": number;
}

export interface SendGridContent {
  "type"?: string;
  "value"?: string;
}

export interface SendGridFile {
  "content"?: string;
  /** follows from the name where the mail is put together */
  "type"?: string;
  "filename"?: string;
  "disposition"?: string;
  "content_id"?: string;
}

export interface SendGridRequest {
  "personalizations"?: (Personalization)[];
  "from"?: Address;
  "reply_to"?: Address;
  "reply_to_list"?: (Address)[];
  "subject"?: string;
  "content"?: (SendGridContent)[];
  "attachments"?: (SendGridFile)[];
  "template_id"?: string;
  "headers"?: Record<string, string>;
  "custom_args"?: Record<string, string>;
  "categories"?: unknown;
  "ip_pool_name"?: string;
  "mail_settings"?: MailSettings;
  "tracking_settings"?: TrackingSettings;
  "send_at"?: unknown;
  "batch_id"?: unknown;
  "asm"?: unknown;
  "sections"?: Record<string, string>;
}

export interface SendGridSetting {
  "enable"?: boolean;
}

export interface SendPostOptions {
  "IPPool"?: string;
  "TrackOpens"?: boolean;
  "TrackClicks"?: boolean;
  "WebhookEndpoint"?: string;
}

export interface SendRequest {
  "from"?: Address;
  "replyTo"?: Address;
  "to"?: (Recipient)[];
  "subject"?: string;
  "preText"?: string;
  "htmlBody"?: string;
  "textBody"?: string;
  "ampBody"?: string;
  "ippool"?: string;
  "tpspTemplate"?: string;
  "customFields"?: unknown;
  "headers"?: Record<string, string>;
  "trackOpens"?: boolean;
  "trackClicks"?: boolean;
  "groups"?: (string)[];
  "attachments"?: (Attachment)[];
  "webhookEndpoint"?: string;
  /** the provider's own IP pool; SG-3 */
  "tpspIppool"?: string;
  /** its older name */
  "sgIppool"?: string;
  /** Of a stored template (EmailMessageWithTemplate), in each of the dialects of SendPost's documentation. */
  "template"?: string;
  "templateId"?: unknown;
  "templateVariables"?: unknown;
  "dynamicData"?: unknown;
}

export interface Ses {
  "MessageId": string;
}

export interface SesBody {
  "Text"?: SesData;
  "Html"?: SesData;
}

export interface SesData {
  "Data"?: string;
}

export interface SesDestination {
  "ToAddresses"?: (string)[];
  "CcAddresses"?: (string)[];
  "BccAddresses"?: (string)[];
}

export interface SesFile {
  "FileName"?: string;
  "RawContent"?: string;
  "ContentDisposition"?: string;
  "ContentId"?: string;
}

export interface SesMessage {
  "Subject"?: SesData;
  "Body"?: SesBody;
  "Headers"?: (SesTag)[];
  "Attachments"?: (SesFile)[];
}

export interface SesTag {
  "Name"?: string;
  "Value"?: string;
}

export interface SesV1Request {
  "Source"?: string;
  "Destination"?: SesDestination;
  "Message"?: SesMessage;
  "RawMessage"?: SesData;
  /** of a raw message */
  "Destinations"?: (string)[];
  "Template"?: string;
  "TemplateData"?: string;
  "ReplyToAddresses"?: (string)[];
  "Tags"?: (SesTag)[];
  "ConfigurationSetName"?: string;
  "SendPostOptions"?: SendPostOptions;
}

export interface SesV2Request {
  "FromEmailAddress"?: string;
  "Destination"?: SesDestination;
  "ReplyToAddresses"?: (string)[];
  "Content"?: { "Simple": SesMessage; "Raw": SesData; "Template": { "TemplateName": string; "TemplateData": string; "TemplateContent": unknown; "TemplateArn": string; "Headers": (SesTag)[]; "Attachments": (SesFile)[] } };
  "EmailTags"?: (SesTag)[];
  "ConfigurationSetName"?: string;
  "ListManagementOptions"?: unknown;
  "ConfigurationOverrides"?: unknown;
  "SendPostOptions"?: SendPostOptions;
}

export interface Share {
  /** as the routing metadata has it; "" when the strategy has no keys */
  "key": string;
  /** the first choices of so many messages in a row */
  "sample": (FirstChoice)[];
  /** why nobody can carry them, "" when somebody can */
  "refusal": string;
}

export interface Skipped {
  "egress": string;
  "reason": string;
}

export interface Source {
  /** message/rfc822 or application/json */
  "mediaType": string;
  "text": string;
  /** bytes of the whole */
  "size": number;
  /** the rest is in the file at .../content/source */
  "truncated": boolean;
  "note": string;
}

export interface StatCounters {
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  /** drops of an SMTP server of ours: there is none yet */
  "smtpDropped": number;
  "spam": number;
}

export interface StateCounts {
  "total": number;
  "pending": number;
  "queued": number;
  "sending": number;
  "unknown": number;
  "sent": number;
  "delivered": number;
  "bounced": number;
  "dropped": number;
}

export interface Status {
  "status": string;
}

export interface Stored {
  "id": number;
  "name": string;
  "subject": string;
  "html": string;
  "text": string;
  /** null: there is none */
  "editor": unknown;
  "created": number;
  "updated": number;
}

export interface StoredHead {
  "id": number;
  "name": string;
  "subject": string;
  "created": number;
  "updated": number;
}

export interface StoredRequest {
  "name"?: string;
  "subject"?: string;
  "html"?: string;
  "text"?: string;
  "htmlBody"?: string;
  "textBody"?: string;
  /** any JSON; it is kept and given back */
  "editor"?: unknown;
}

export interface Stream {
  "id": string;
  "name": string;
  /** Transactional, Broadcasts, Inbound */
  "type": string;
}

export interface StreamsRequest {
  "type"?: number;
  "key"?: string;
  "endpoint"?: string;
  /** one that is connected: what is absent, and a masked key, are as it has them */
  "tpspId"?: number;
}

export interface SubAccount {
  "id": number;
  /** in clear, as SendPost has it; masked for viewers */
  "apiKey": string;
  "name": string;
  "labels": (Label)[];
  "smtpAuths": (string)[];
  /** 0 regular, 1 plus */
  "type": number;
  "isPlus": boolean;
  "created": number;
  "created_by": string | null;
  "updated_by": string | null;
  "blocked": boolean;
  /** seconds, 0 when it is not blocked. CL-6: Go clients have an int32 here */
  "blocked_at": number;
  "block_reason": string;
  "hb_exempt": boolean;
  "generate_weekly_report": boolean;
  "handlers": (string)[];
}

export interface SubAccountRequest {
  "name"?: string;
  "labels"?: (unknown)[];
}

export interface SubAccountRow {
  "sid": number;
  "name": string;
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  "spam": number;
}

export interface Suppression {
  "id": number;
  "email": string;
  "reason": number;
  "smtp_error": string;
  "created": number;
}

export interface SuppressionsRequest {
  "hardBounce"?: (ListedEmail)[];
  "manual"?: (ListedEmail)[];
  "unsubscribe"?: (ListedEmail)[];
  "spamComplaint"?: (ListedEmail)[];
}

export interface SuppressionsSynced {
  "tpspId": number;
  "name": string;
  /** entries of the provider's list */
  "listed": number;
  /** suppressions that followed */
  "suppressed": number;
  /** suppressions that ended */
  "reactivated": number;
  /** entries that are gone, which is believed when they are so the next time */
  "doubted": number;
  /** changes of the provider's list */
  "pushed": number;
  /** addresses that are not put there because of other sub-accounts */
  "local": number;
  /** what the provider would not change, lately */
  "refused": (Refused)[];
  "error": string;
}

export interface Synced {
  "tpspId": number;
  "name": string;
  "templates": number;
  /** of them; the list says why */
  "unusable": number;
  "added": number;
  "changed": number;
  "removed": number;
  "error": string;
}

export interface Template {
  "tpspId": number;
  "tpspName": string;
  "alias": string;
  "name": string;
  /** template, layout */
  "type": string;
  "layout": string;
  /** why other providers cannot be given it, "" when they can */
  "error": string;
  "changedAt": number;
  "syncedAt": number;
}

export interface Throttle {
  /** 0: an IP */
  "tpspId": number;
  /** 0: a provider */
  "ipId": number;
  /** the provider's name in this account, or the IP's address */
  "name": string;
  /** of the provider, 0 of an IP */
  "type": number;
  /** of its health: ok, impaired, stopped, paused, drill, missing */
  "state": string;
  "reason": string;
  "total": Lane;
  /** those that carried mail in the past 60 minutes, have a limit, or let mail wait */
  "lanes": (Lane)[];
}

export interface TotalCounters {
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  /** drops of an SMTP server of ours: there is none yet */
  "smtpDropped": number;
  "spams": number;
}

export interface Tpsp {
  "id": number;
  "name": string;
  "type": number;
  "domain": string;
  "endpoint": string;
  "key": string;
  "secret": string;
  "port": number;
  "oauthToken": string;
  "retryTime": number;
  "created": number;
  "messageStream": string;
  /** at-least-once, at-most-once */
  "ambiguousPolicy": string;
  /** Postmark: it takes messages without a template; other providers do anyway */
  "allowRaw": boolean;
  "active": boolean;
  /** both, from-provider, off */
  "suppressionSync": string;
  /** 0: no limit */
  "ratePerHour": number;
  "mailboxLimits": Record<string, number>;
  "webhookStatus": Webhook;
  "health": Health;
  /** where one TPSP is read */
  "usage"?: Usage;
  /** while events are to be read back */
  "catchUp"?: CatchUp;
  /** in the answer to its creation: the pool that was made for it */
  "ipPool"?: PoolReference;
}

export interface TpspChanges {
  "name"?: string;
  "ambiguousPolicy"?: string;
  "allowRaw"?: boolean;
  "type"?: number;
  /** masked: it stays */
  "key"?: string;
  /** masked: it stays */
  "secret"?: string;
  "domain"?: string;
  "endpoint"?: string;
  "port"?: number;
  "messageStream"?: string;
  "active"?: boolean;
  "suppressionSync"?: string;
  "ratePerHour"?: number;
  /** by mailbox provider: its key ("gmail"), or its SendPost id ("0") */
  "mailboxLimits"?: Record<string, number>;
}

export interface TpspReference {
  /** 0: all of the account */
  "tpspId"?: number;
}

export interface TpspRequest {
  "name"?: string;
  "type"?: number;
  "domain"?: string;
  "key"?: string;
  "secret"?: string;
  "endpoint"?: string;
  "port"?: number;
  "messageStream"?: string;
  "ambiguousPolicy"?: string;
  "allowRaw"?: boolean;
  "active"?: boolean;
  "suppressionSync"?: string;
  "ratePerHour"?: number;
  /** by mailbox provider: its key ("gmail"), or its SendPost id ("0") */
  "mailboxLimits"?: Record<string, number>;
}

export interface TpspRow {
  "tpspId": number;
  "name": string;
  "processed": number;
  "sent": number;
  "delivered": number;
  "dropped": number;
  "hardBounced": number;
  "softBounced": number;
  "opened": number;
  "clicked": number;
  "unsubscribed": number;
  "spam": number;
}

export interface TrackingSettings {
  "click_tracking"?: SendGridSetting;
  "open_tracking"?: OpenTracking;
  "subscription_tracking"?: SendGridSetting;
  "ganalytics"?: SendGridSetting;
}

export interface Tree {
  /** YYYY-MM-DD, of what is counted */
  "from": string;
  "to": string;
  "subAccounts": (Branch)[];
}

export interface Tried {
  "success": boolean;
  "message": string;
}

export interface Usage {
  "total": number;
  /** by mailbox provider */
  "mailboxes": Record<string, number>;
}

export interface UserAgent {
  "Family": string;
  "Major": string;
  "Minor": string;
  "Patch": string;
}

export interface Verify {
  "ok": boolean;
  /** when the verification began */
  "checkedAt": number;
  "tookMs": number;
  "messages": StateCounts;
  "events": number;
  "attempts": number;
  "days": number;
  /** the first 1,000 */
  "differences": (Difference)[];
  "differenceCount": number;
  /** the first 100 */
  "awaiting": (Awaiting)[];
  "awaitingCount": number;
}

export interface Wait {
  "reason": string;
  "messages": number;
  "oldest": number;
  /** the oldest one */
  "messageID": string;
  /** when the first of them may leave; 0: at once, or when somebody lets them */
  "until": number;
  /** the pool that holds them, else 0 */
  "ipPoolId": number;
  /** the sub-account that holds them, else 0 */
  "subAccountId": number;
}

export interface Warning {
  "code": string;
  /** TPSP_5, "" when it is about nobody in particular */
  "egress": string;
  "tpspId": number;
  "ipId": number;
  "message": string;
}

export interface Way {
  /** TPSP_5 */
  "egress": string;
  "tpspId": number;
  "ipId": number;
  "name": string;
  /** through which it is reached */
  "ipPool": string;
  "reason": string;
}

export interface Webhook {
  /** State is pending (not tried yet), registered, unverified (the provider has it and reports nothing), failed, paused (the provider does not report some kinds of events), or none: there is nothing to register. */
  "state": string;
  /** why it failed, in the provider's words */
  "message": string;
  /** where the provider reports to */
  "url": string;
  /** when it is tried again, 0 when it need not be */
  "nextTry": number;
  /** how the URL answered when the provider called it, at the last try that failed */
  "results": (Probe)[];
  /** the kinds of events that the provider does not report, by its names of them */
  "paused": (string)[];
}

export interface WebhookAttempt {
  "id": number;
  "eventId": string;
  /** from 1, of this event */
  "attempt": number;
  "at": number;
  "durationMs": number;
  /** 0: there was no answer */
  "status": number;
  /** "" for a success */
  "error": string;
  "outcome": string;
}

export interface WebhookReplay {
  "eventId"?: string;
  "from"?: string;
  "to"?: string;
  "missing"?: boolean;
}

export interface WebhookReplayed {
  /** events */
  "queued": number;
}

export interface WebhookRequest {
  "enabled"?: boolean;
  "url"?: string;
  "processed"?: boolean;
  "delivered"?: boolean;
  "dropped"?: boolean;
  "softBounced"?: boolean;
  "hardBounced"?: boolean;
  "opened"?: boolean;
  "clicked"?: boolean;
  "unsubscribed"?: boolean;
  "spam"?: boolean;
  "sent"?: boolean;
  "smtpDropped"?: boolean;
  "uniqueOpen"?: boolean;
  "uniqueClick"?: boolean;
}

export interface WebhookStatus {
  "id": number;
  "url": string;
  /** ok, backing-off, paused, disabled */
  "state": string;
  /** why it is not ok */
  "reason": string;
  /** events that are to be posted */
  "queued": number;
  "oldestQueued": number;
  /** events that are not posted any more, unless they are replayed */
  "givenUp": number;
  "consecutiveFailures": number;
  "failingSince": number;
  /** 0: at once */
  "nextTry": number;
  "lastTry": number;
  /** 0: there was no answer */
  "lastStatus": number;
  "lastError": string;
  "lastSuccess": number;
  "pausedSince": number;
}

export interface WebhookTest {
  /** an event type */
  "type"?: number;
  /** or one of the toggles */
  "event"?: string;
}

export interface WebhookTested {
  "eventId": string;
  "type": number;
  "ok": boolean;
  "status": number;
  "error": string;
  "durationMs": number;
}
