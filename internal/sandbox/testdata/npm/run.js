// Calls every method of Postmark's own client against a sandbox and checks the answers.
// node run.js <postmark4|postmark5> <host:port> <account token>
"use strict";

const assert = require("node:assert/strict");

const [, , line, host, accountToken] = process.argv;
const postmark = require(line);
const options = { useHttps: false, requestHost: host };

// called collects the methods that were used, so that none is left out.
const called = new Set();

function watched(client, name) {
  return new Proxy(client, {
    get(target, key) {
      const value = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      return (...args) => {
        called.add(`${name}.${String(key)}`);
        return value.apply(target, args);
      };
    },
  });
}

const account = watched(new postmark.AccountClient(accountToken, options), "AccountClient");

function serverClient(token) {
  return watched(new postmark.ServerClient(token, options), "ServerClient");
}

// has checks that an object has keys, with values of these types: "string", "number", "boolean", "array", "object", "null", or several with |.
function has(value, shape) {
  for (const [key, types] of Object.entries(shape)) {
    const got = value[key] === null ? "null" : Array.isArray(value[key]) ? "array" : typeof value[key];
    assert.ok(types.split("|").includes(got), `${key} is ${got}, want ${types}: ${JSON.stringify(value)}`);
  }
  return value;
}

// fails expects a call to be refused with a class of error, an ErrorCode and a status.
async function fails(promise, kind, code, status) {
  let error;
  try {
    const answer = await promise;
    assert.fail(`not refused: ${JSON.stringify(answer)}`);
  } catch (caught) {
    error = caught;
  }
  assert.equal(error.constructor, postmark.Errors[kind], `${error.stack}`);
  assert.equal(error.code, code, error.message);
  assert.equal(error.statusCode, status, error.message);
  return error;
}

async function control(method, path, body) {
  const answer = await fetch(`http://${host}/sandbox${path}`, { method, body: body && JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

// until asks again until an answer is as wanted: events come after a short delay.
async function until(what, ask, wanted) {
  for (let tries = 0; tries < 2000; tries++) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.fail(`waited in vain for ${what}`);
}

const removed = { ErrorCode: "number", Message: "string" };
const serverShape = {
  ID: "number", Name: "string", ApiTokens: "array", Color: "string", SmtpApiActivated: "boolean", RawEmailEnabled: "boolean", DeliveryType: "string",
  ServerLink: "string", InboundAddress: "string", InboundHookUrl: "string", BounceHookUrl: "string", OpenHookUrl: "string", DeliveryHookUrl: "string",
  ClickHookUrl: "string", PostFirstOpenOnly: "boolean", InboundDomain: "string", InboundHash: "string", InboundSpamThreshold: "number",
  TrackOpens: "boolean", TrackLinks: "string", IncludeBounceContentInHook: "boolean", EnableSmtpApiErrorHooks: "boolean",
};
const message = (changes) => ({
  From: "app@example.com", To: "ana@example.net", Subject: "Hello", TextBody: "See https://example.com/t.",
  HtmlBody: '<a href="https://example.com/h">here</a>', TrackOpens: true, TrackLinks: "HtmlAndText", Tag: "news", Metadata: { key: "value" }, ...changes,
});

async function servers() {
  const name = `${line} server`;
  const created = has(await account.createServer({ Name: name }), serverShape);
  assert.equal(created.Name, name);
  await fails(account.createServer({ Name: name }), "ApiInputError", 603, 422);
  await fails(account.createServer({}), "ApiInputError", 608, 422);
  assert.equal((await account.getServer(created.ID)).Name, name);
  assert.equal((await account.editServer(created.ID, { Color: "red" })).Color, "red");
  const list = has(await account.getServers({ name: line }), { TotalCount: "number", Servers: "array" });
  assert.deepEqual(list.Servers.map((server) => server.ID), [created.ID]);
  const other = await account.createServer({ Name: `${line} other`, DeliveryType: "Sandbox" });
  has(await account.deleteServer(other.ID), removed);
  await fails(account.getServer(other.ID), "ApiInputError", 601, 422);
  return created;
}

async function ownServer(client, created) {
  assert.deepEqual(await client.getServer(), await account.getServer(created.ID));
  const edited = await client.editServer({ Name: `${line} renamed`, TrackOpens: true });
  assert.equal(edited.Name, `${line} renamed`);
  await client.editServer({ Name: created.Name });
}

async function templates(client, id) {
  const created = has(await client.createTemplate({ Name: "Note", Alias: "note", Subject: "{{subject}}", HtmlBody: "<p>{{name}}</p>", TextBody: "{{name}}" }),
    { TemplateId: "number", Name: "string", Active: "boolean", Alias: "string", TemplateType: "string", LayoutTemplate: "null" });
  has(await client.getTemplate("note"), { TemplateId: "number", Name: "string", Subject: "string", HtmlBody: "string", TextBody: "string",
    AssociatedServerId: "number", Active: "boolean", Alias: "string", TemplateType: "string" });
  assert.equal((await client.editTemplate(created.TemplateId, { Name: "Note 2" })).Name, "Note 2");
  const list = has(await client.getTemplates({ templateType: "Standard" }), { TotalCount: "number", Templates: "array" });
  assert.ok(list.Templates.some((template) => template.Alias === "note"));
  const valid = await client.validateTemplate({ TestRenderModel: { name: "Ana" }, Subject: "{{subject}}", TextBody: "Hello {{name}}!", HtmlBody: "{{name}}" });
  assert.equal(valid.TextBody.RenderedContent, "Hello Ana!");
  assert.equal(valid.AllContentIsValid, true);

  has(await client.sendEmailWithTemplate({ From: "app@example.com", To: "ana@example.net", TemplateAlias: "note", TemplateModel: { name: "Ana" } }),
    { To: "string", SubmittedAt: "string", MessageID: "string", ErrorCode: "number", Message: "string" });
  const batch = await client.sendEmailBatchWithTemplates([
    { From: "app@example.com", To: "ana@example.net", TemplateId: created.TemplateId, TemplateModel: {} },
    { From: "app@example.com", To: "ana@example.net", TemplateAlias: "nope", TemplateModel: {} }]);
  assert.deepEqual(batch.map((item) => item.ErrorCode), [0, 1101]);

  const target = await account.createServer({ Name: `${line} target` });
  for (const perform of [false, true]) {
    const push = await account.pushTemplates({ SourceServerID: id, DestinationServerID: target.ID, PerformChanges: perform });
    assert.equal(push.TotalCount, 2);
    assert.deepEqual(push.Templates.map((action) => [action.Alias, action.Action]), [["welcome-template", "Edit"], ["note", "Create"]]);
  }
  assert.equal((await serverClient(target.ApiTokens[0]).getTemplate("note")).Name, "Note 2");
  await account.deleteServer(target.ID);
  has(await client.deleteTemplate("note"), removed);
  await fails(client.getTemplate("note"), "ApiInputError", 1101, 422);
}

async function streams(client) {
  const created = has(await client.createMessageStream({ ID: "letters", Name: "Letters", MessageStreamType: "Broadcasts" }),
    { ID: "string", ServerID: "number", Name: "string", MessageStreamType: "string", CreatedAt: "string", UpdatedAt: "null", ArchivedAt: "null",
      SubscriptionManagementConfiguration: "object" });
  assert.equal(created.SubscriptionManagementConfiguration.UnsubscribeHandlingType, "Postmark");
  assert.equal((await client.getMessageStreams()).TotalCount, 4);
  assert.equal((await client.getMessageStream("letters")).Name, "Letters");
  assert.equal((await client.editMessageStream("letters", { Name: "More letters" })).Name, "More letters");
  await control("PUT", "/settings", { refuseArchive: true }); // as 5.x expects it of a new stream
  await fails(client.archiveMessageStream("letters"), "ApiInputError", 1241, 422);
  await control("PUT", "/settings", { refuseArchive: false }); // as 4.x does
  has(await client.archiveMessageStream("letters"), { ID: "string", ServerID: "number", ExpectedPurgeDate: "string" });
  assert.equal((await client.getMessageStreams({ includeArchivedStreams: true })).TotalCount, 4);
  assert.equal((await client.getMessageStreams({ messageStreamType: "Broadcasts" })).TotalCount, 1);
  assert.equal((await client.unarchiveMessageStream("letters")).ArchivedAt, null);
}

async function webhooks(client) {
  const created = has(await client.createWebhook({ Url: "https://example.com/hook", HttpAuth: { Username: "u", Password: "p" },
    HttpHeaders: [{ Name: "X-Key", Value: "1" }], Triggers: { Open: { Enabled: true, PostFirstOpenOnly: true }, Bounce: { Enabled: true } } }),
  { ID: "number", Url: "string", MessageStream: "string", HttpAuth: "object", HttpHeaders: "array", Triggers: "object" });
  assert.equal(created.Triggers.Open.PostFirstOpenOnly, true);
  const edited = await client.editWebhook(created.ID, { Triggers: { Click: { Enabled: true } } });
  assert.deepEqual([edited.Triggers.Open.Enabled, edited.Triggers.Click.Enabled], [true, true]);
  assert.deepEqual(await client.getWebhook(created.ID), edited);
  assert.equal((await client.getWebhooks({ messageStream: "outbound" })).Webhooks.length, 1);
  has(await client.deleteWebhook(created.ID), removed);
  await fails(client.getWebhook(created.ID), "ApiInputError", 1352, 422);
}

async function suppressions(client) {
  const options = { Suppressions: [{ EmailAddress: "gone@example.net" }, { EmailAddress: "bad" }] };
  const created = await client.createSuppressions("outbound", options);
  assert.deepEqual(created.Suppressions.map((item) => item.Status), ["Suppressed", "Failed"]);
  const list = await client.getSuppressions("outbound", { suppressionReason: "ManualSuppression", emailAddress: "gone@example.net" });
  assert.equal(list.Suppressions.length, 1);
  has(list.Suppressions[0], { EmailAddress: "string", SuppressionReason: "string", Origin: "string", CreatedAt: "string" });

  const error = await fails(client.sendEmail(message({ To: "gone@example.net, GONE@example.net" })), "InactiveRecipientsError", 406, 422);
  assert.deepEqual(error.recipients, ["gone@example.net", "GONE@example.net"]);
  const partly = await client.sendEmail(message({ To: "gone@example.net, ana@example.net" }));
  assert.equal(partly.ErrorCode, 0);
  assert.match(partly.Message, /^Message OK, but will not deliver to these inactive addresses: gone@example\.net\. Inactive/);

  const deleted = await client.deleteSuppressions("outbound", { Suppressions: [{ EmailAddress: "gone@example.net" }] });
  assert.deepEqual(deleted.Suppressions.map((item) => item.Status), ["Deleted"]);
}

async function sending(client) {
  const sent = has(await client.sendEmail(message()), { To: "string", SubmittedAt: "string", MessageID: "string", ErrorCode: "number", Message: "string" });
  assert.equal(sent.Message, "OK");
  await client.sendEmail(new postmark.Message("app@example.com", "Hello", "<p>Hello</p>", "Hello", "bob@example.net"));
  const batch = await client.sendEmailBatch([message(), message({ To: "nobody" })]);
  assert.deepEqual(batch.map((item) => item.ErrorCode), [0, 300]);
  const attachment = new postmark.Attachment("note.txt", Buffer.from("hi").toString("base64"), "text/plain");
  await client.sendEmail(message({ Attachments: [attachment] }));

  await fails(client.sendEmail(message({ To: "invalid@localhost" })), "InvalidEmailRequestError", 300, 422);
  await fails(client.sendEmail(message({ From: "me@other.example" })), "ApiInputError", 400, 422);
  await fails(client.sendEmail(message({ MessageStream: "nope" })), "ApiInputError", 1235, 422);
  await fails(serverClient("nobody's").sendEmail(message()), "InvalidAPIKeyError", 10, 401);
  await fails(serverClient("nobody's").getServer(), "InvalidAPIKeyError", 10, 401);
  const pretended = await serverClient("POSTMARK_API_TEST").sendEmail(message());
  assert.equal(pretended.Message, "Test job accepted");
  return sent.MessageID;
}

async function faults(client, name) {
  for (const [status, kind, code] of [[500, "InternalServerError", 101], [503, "ServiceUnavailablerError", 100], [429, "RateLimitExceededError", 0]]) {
    await control("PUT", "/faults", [{ server: name, kind: "status", status, count: 1 }]);
    await fails(client.sendEmail(message()), kind, code, status);
  }
  await control("DELETE", "/faults");
}

async function messages(client, id) {
  await until("the delivery", () => client.getOutboundMessageDetails(id), (details) => details.MessageEvents.length > 0);
  for (const kind of ["open", "open", "click"]) await control("POST", `/messages/${id}/events`, { kind });
  const list = has(await client.getOutboundMessages({ tag: "news", metadata_key: "value" }), { TotalCount: "number", Messages: "array" });
  has(list.Messages[0], { Tag: "string", MessageID: "string", To: "array", Cc: "array", Bcc: "array", Recipients: "array", ReceivedAt: "string", From: "string",
    Subject: "string", Attachments: "array", Status: "string", TrackOpens: "boolean", TrackLinks: "string", Metadata: "object", Sandboxed: "boolean" });
  const details = has(await client.getOutboundMessageDetails(id), { TextBody: "string", HtmlBody: "string", Body: "string", MessageEvents: "array" });
  assert.deepEqual(details.MessageEvents.map((event) => event.Type), ["Delivered", "Opened", "Opened", "LinkClicked"]);
  has(await client.getOutboundMessageDump(id), { Body: "string" });

  const reader = { RecordType: "string", MessageID: "string", Client: "object", OS: "object", Platform: "string", UserAgent: "string", Geo: "object",
    ReceivedAt: "string", Tag: "string", Recipient: "string", MessageStream: "string" };
  for (const opens of [await client.getMessageOpens({ platform: "WebMail", client_family: "Chrome" }), await client.getMessageOpensForSingleMessage(id)]) {
    assert.equal(opens.TotalCount, 1);
    has(opens.Opens[0], { ...reader, FirstOpen: "boolean", ReadSeconds: "number" });
  }
  for (const clicks of [await client.getMessageClicks({ country: "United States" }), await client.getMessageClicksForSingleMessage(id)]) {
    assert.equal(clicks.TotalCount, 1);
    has(clicks.Clicks[0], { ...reader, ClickLocation: "string", OriginalLink: "string" });
  }
  await fails(client.getOutboundMessageDetails("00000000-0000-4000-8000-000000000000"), "ApiInputError", 701, 422);

  const inbound = has(await client.getInboundMessages(), { TotalCount: "number", InboundMessages: "array" });
  const first = inbound.InboundMessages[0];
  has(first, { From: "string", FromFull: "object", To: "string", ToFull: "array", CcFull: "array", MessageID: "string", Status: "string", Attachments: "array" });
  has(await client.getInboundMessageDetails(first.MessageID), { TextBody: "string", HtmlBody: "string", StrippedTextReply: "string", Headers: "array" });
  await fails(client.bypassBlockedInboundMessage(first.MessageID), "ApiInputError", 701, 422);
  await fails(client.retryInboundHookForMessage(first.MessageID), "ApiInputError", 701, 422);
}

async function bounces(client) {
  const hard = (await client.sendEmail(message({ To: "hardbounce@bounce.sandbox.test" }))).MessageID;
  const spam = (await client.sendEmail(message({ To: "complaint@bounce.sandbox.test" }))).MessageID;
  const of = async (id) => (await until("the bounce", () => client.getBounces({ messageID: id }), (list) => list.TotalCount === 1)).Bounces[0];
  const bounce = has(await of(hard), { RecordType: "string", ID: "number", Type: "string", TypeCode: "number", Name: "string", MessageID: "string",
    ServerID: "number", Description: "string", Details: "string", Email: "string", From: "string", BouncedAt: "string", DumpAvailable: "boolean",
    Inactive: "boolean", CanActivate: "boolean", Subject: "string", MessageStream: "string" });
  assert.ok(!Number.isSafeInteger(bounce.ID), "the id is one that JavaScript cannot hold exactly");
  const one = await client.getBounce(bounce.ID);
  assert.equal(one.MessageID, hard);
  has(one, { Content: "string" });
  has(await client.getBounceDump(bounce.ID), { Body: "string" });
  await fails(client.sendEmail(message({ To: "hardbounce@bounce.sandbox.test" })), "InactiveRecipientsError", 406, 422);
  const activated = await client.activateBounce(bounce.ID);
  assert.deepEqual([activated.Message, activated.Bounce.MessageID, activated.Bounce.Inactive], ["OK", hard, false]);
  await client.sendEmail(message({ To: "hardbounce@bounce.sandbox.test" }));
  await fails(client.activateBounce((await of(spam)).ID), "ApiInputError", 1003, 422);
  await fails(client.getBounces({ count: -1 }), "ApiInputError", 1000, 422);
  await fails(client.getBounce(7), "ApiInputError", 1001, 422);
  has(await client.getDeliveryStatistics(), { InactiveMails: "number", Bounces: "array" });
}

async function statistics(client) {
  const now = new Date();
  const day = (date) => `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
  const filter = { fromDate: day(new Date(now.valueOf() - 2 * 86400e3)), toDate: day(new Date(now.valueOf() + 86400e3)), tag: "news", messageStream: "outbound" };
  const overview = await client.getOutboundOverview(filter);
  has(overview, Object.fromEntries(["Sent", "Bounced", "SMTPApiErrors", "BounceRate", "SpamComplaints", "SpamComplaintsRate", "Opens", "UniqueOpens", "Tracked",
    "WithLinkTracking", "WithOpenTracking", "TotalTrackedLinksSent", "UniqueLinksClicked", "TotalClicks", "WithClientRecorded", "WithPlatformRecorded",
    "WithReadTimeRecorded"].map((name) => [name, "number"])));
  assert.deepEqual([overview.SpamComplaints, overview.Opens, overview.UniqueOpens, overview.TotalClicks], [1, 2, 1, 1]);
  for (const [method, totals] of Object.entries({
    getSentCounts: { Sent: overview.Sent }, getBounceCounts: { HardBounce: overview.Bounced }, getSpamComplaintsCounts: { SpamComplaint: 1 },
    getTrackedEmailCounts: { Tracked: overview.Tracked }, getEmailOpenCounts: { Opens: 2, Unique: 1 },
    getEmailOpenPlatformUsage: { WebMail: 1, Desktop: 0, Mobile: 0, Unknown: 0 }, getEmailOpenClientUsage: { "Chrome 140": 1 }, getEmailOpenReadTimes: { "5s": 1 },
    getClickCounts: { Clicks: 1, Unique: 1 }, getClickBrowserUsage: { Chrome: 1 }, getClickPlatformUsage: { WebMail: 1, Desktop: 0, Mobile: 0, Unknown: 0 },
    getClickLocation: { HTML: 1, Text: 0 },
  })) {
    const counts = await client[method](filter);
    assert.ok(counts.Days.length > 0, method);
    assert.match(counts.Days[0].Date, /^\d{4}-\d\d-\d\d$/, method);
    for (const [name, want] of Object.entries(totals)) assert.equal(counts[name], want, `${method} ${name}: ${JSON.stringify(counts)}`);
  }
  assert.deepEqual(await client.getSentCounts({ tag: "nothing" }), { Days: [] });
  await fails(client.getSentCounts({ fromDate: "yesterday" }), "ApiInputError", 900, 422);
}

async function rules(client) {
  const rule = has(await client.createInboundRuleTrigger({ Rule: "spam.example" }), { ID: "number", Rule: "string" });
  await fails(client.createInboundRuleTrigger({ Rule: "spam.example" }), "ApiInputError", 810, 422);
  const list = await client.getInboundRuleTriggers();
  assert.deepEqual([list.TotalCount, list.InboundRules], [1, [rule]]);
  has(await client.deleteInboundRuleTrigger(rule.ID), removed);
  await fails(client.deleteInboundRuleTrigger(rule.ID), "ApiInputError", 812, 422);
}

async function bulk(client) {
  if (!client.sendBulkEmail) return; // 5.x only
  const request = { From: "app@example.com", Subject: "News", TextBody: "Hello", MessageStream: "broadcast", Metadata: { key: "bulk" },
    Messages: [{ To: "ana@example.net" }, { To: "bob@example.net" }] };
  await fails(client.sendBulkEmail(request), "ApiInputError", 14, 422);
  await fails(client.getBulkEmailStatus("nope"), "PostmarkError", 12, 404);
  await control("PUT", "/settings", { bulk: true });
  const accepted = has(await client.sendBulkEmail(request), { Id: "string", Status: "string", SubmittedAt: "string" });
  const status = has(await client.getBulkEmailStatus(accepted.Id), { TotalMessages: "number", PercentageCompleted: "number", Subject: "string" });
  assert.deepEqual([status.Id, status.Status, status.TotalMessages], [accepted.Id, "Completed", 2]);
  await control("PUT", "/settings", { bulk: false });
}

const dns = { SPFVerified: "boolean", SPFHost: "string", SPFTextValue: "string", DKIMVerified: "boolean", WeakDKIM: "boolean", DKIMHost: "string",
  DKIMTextValue: "string", DKIMPendingHost: "string", DKIMPendingTextValue: "string", DKIMRevokedHost: "string", DKIMRevokedTextValue: "string",
  SafeToRemoveRevokedKeyFromDNS: "boolean", DKIMUpdateStatus: "string", ReturnPathDomain: "string", ReturnPathDomainVerified: "boolean",
  ReturnPathDomainCNAMEValue: "string" };

async function domains(client) {
  const name = `${line}.example.org`;
  const created = has(await account.createDomain({ Name: name }), { ID: "number", Name: "string", ...dns });
  assert.equal(created.Name, name);
  assert.ok((await account.getDomains()).Domains.some((domain) => domain.ID === created.ID));
  assert.equal((await account.editDomain(created.ID, { ReturnPathDomain: `return.${name}` })).ReturnPathDomain, `return.${name}`);
  await fails(client.sendEmail(message({ From: `me@${name}` })), "ApiInputError", 400, 422);
  await fails(account.rotateDomainDKIM(created.ID), "ApiInputError", 505, 422);
  assert.equal((await account.verifyDomainDKIM(created.ID)).DKIMVerified, true);
  await client.sendEmail(message({ From: `me@${name}` }));
  assert.equal((await account.verifyDomainReturnPath(created.ID)).ReturnPathDomainVerified, true);
  assert.equal((await account.verifyDomainSPF(created.ID)).SPFVerified, true);
  assert.notEqual((await account.rotateDomainDKIM(created.ID)).DKIMPendingHost, "");
  assert.equal((await account.getDomain(created.ID)).ID, created.ID);
  has(await account.deleteDomain(created.ID), removed);
  await fails(account.getDomain(created.ID), "ApiInputError", 510, 422);
}

async function senders(client) {
  const email = `ana@${line}-senders.example.org`;
  const created = has(await account.createSenderSignature({ FromEmail: email, Name: "Ana" }),
    { ID: "number", Name: "string", Domain: "string", EmailAddress: "string", ReplyToEmailAddress: "string", Confirmed: "boolean", ConfirmationPersonalNote: "string", ...dns });
  assert.equal(created.EmailAddress, email);
  has((await account.getSenderSignatures()).SenderSignatures[0], { ID: "number", Name: "string", Domain: "string", EmailAddress: "string",
    ReplyToEmailAddress: "string", Confirmed: "boolean" });
  assert.equal((await account.getSenderSignature(created.ID)).Name, "Ana");
  assert.equal((await account.editSenderSignature(created.ID, { Name: "Ana B" })).Name, "Ana B");
  has(await account.resendSenderSignatureConfirmation(created.ID), removed);
  assert.equal((await account.verifySenderSignatureSPF(created.ID)).ID, created.ID);
  await fails(account.requestNewDKIMForSenderSignature(created.ID), "ApiInputError", 505, 422);
  await fails(client.sendEmail(message({ From: email })), "ApiInputError", 400, 422);
  await control("POST", `/senders/${email}/confirm`);
  await client.sendEmail(message({ From: email }));
  has(await account.deleteSenderSignature(created.ID), removed);
  await fails(account.getSenderSignature(created.ID), "PostmarkError", 501, 404);
}

async function removals() {
  const request = await account.requestDataRemoval({ RequestedBy: "app@example.com", RequestedFor: "ana@example.net", NotifyWhenCompleted: false });
  assert.equal(request.Status, "Pending");
  assert.deepEqual(await account.getDataRemovalStatus(request.ID), request);
}

async function main() {
  const created = await servers();
  const client = serverClient(created.ApiTokens[0]);
  await ownServer(client, created);
  await templates(client, created.ID);
  await streams(client);
  await webhooks(client);
  const id = await sending(client);
  await suppressions(client);
  await faults(client, created.Name);
  await messages(client, id);
  await bounces(client);
  await statistics(client);
  await rules(client);
  await bulk(client);
  await domains(client);
  await senders(client);
  await removals();
  await account.deleteServer(created.ID);

  const missing = [];
  for (const name of ["ServerClient", "AccountClient"]) {
    for (const method of Object.getOwnPropertyNames(postmark[name].prototype)) {
      if (method !== "constructor" && !called.has(`${name}.${method}`)) missing.push(`${name}.${method}`);
    }
  }
  assert.deepEqual(missing, [], "methods that were not called");
  console.log(`${called.size} methods`);
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
