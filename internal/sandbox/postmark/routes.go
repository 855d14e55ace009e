package postmark

import (
	"net/http"
	"strings"
)

func at(method, path string, access access, handle func(*Simulator, *call) (any, error)) route {
	return route{method: method, path: strings.Split(path, "/"), access: access, limit: maxBody, handle: handle}
}

func batch(r route) route {
	r.limit = maxBatchBody
	return r
}

const (
	get   = http.MethodGet
	post  = http.MethodPost
	put   = http.MethodPut
	patch = http.MethodPatch
	del   = http.MethodDelete
)

// routes are tried in order.
var routes = []route{
	at(post, "email", bySending, (*Simulator).send),
	batch(at(post, "email/batch", bySending, (*Simulator).sendBatch)),
	at(post, "email/withtemplate", bySending, (*Simulator).sendTemplated),
	batch(at(post, "email/batchwithtemplates", bySending, (*Simulator).sendTemplatedBatch)),

	at(get, "server", byServer, (*Simulator).getServer),
	at(get, "servers", byAccount, (*Simulator).listServers),
	at(get, "servers/*", byAccount, (*Simulator).getServerByID),

	at(get, "message-streams", byServer, (*Simulator).listStreams),
	at(post, "message-streams", byServer, (*Simulator).createStream),
	at(get, "message-streams/*", byServer, (*Simulator).getStream),
	at(patch, "message-streams/*", byServer, (*Simulator).editStream),
	at(post, "message-streams/*/archive", byServer, (*Simulator).archiveStream),
	at(post, "message-streams/*/unarchive", byServer, (*Simulator).unarchiveStream),
	at(get, "message-streams/*/suppressions/dump", byServer, (*Simulator).dumpSuppressions),
	at(post, "message-streams/*/suppressions", byServer, (*Simulator).createSuppressions),
	at(post, "message-streams/*/suppressions/delete", byServer, (*Simulator).deleteSuppressions),

	at(get, "webhooks", byServer, (*Simulator).listWebhooks),
	at(post, "webhooks", byServer, (*Simulator).createWebhook),
	at(get, "webhooks/*", byServer, (*Simulator).getWebhook),
	at(put, "webhooks/*", byServer, (*Simulator).editWebhook),
	at(del, "webhooks/*", byServer, (*Simulator).deleteWebhook),
	at(post, "webhooks/*/verify", byServer, (*Simulator).verifyWebhook),
	at(get, "webhooks/*/statistics", byServer, (*Simulator).webhookStatistics),

	at(get, "templates", byServer, (*Simulator).listTemplates),
	at(post, "templates", byServer, (*Simulator).createTemplate),
	at(post, "templates/validate", byServer, (*Simulator).validateTemplate),
	at(get, "templates/*", byServer, (*Simulator).getTemplate),
	at(put, "templates/push", byAccount, (*Simulator).pushTemplates), // before the next
	at(put, "templates/*", byServer, (*Simulator).editTemplate),
	at(del, "templates/*", byServer, (*Simulator).deleteTemplate),

	at(get, "messages/outbound", byServer, (*Simulator).searchMessages),
	at(get, "messages/outbound/opens", byServer, (*Simulator).listOpens),
	at(get, "messages/outbound/opens/*", byServer, (*Simulator).messageOpens),
	at(get, "messages/outbound/clicks", byServer, (*Simulator).listClicks),
	at(get, "messages/outbound/clicks/*", byServer, (*Simulator).messageClicks),
	at(get, "messages/outbound/*/details", byServer, (*Simulator).messageDetails),
	at(get, "messages/outbound/*/dump", byServer, (*Simulator).messageDump),
	at(get, "bounces", byServer, (*Simulator).listBounces),
	at(get, "bounces/*", byServer, (*Simulator).getBounce),
	at(get, "bounces/*/dump", byServer, (*Simulator).dumpBounce),
	at(put, "bounces/*/activate", byServer, (*Simulator).activateBounce),
	at(get, "deliverystats", byServer, (*Simulator).deliveryStats),

	batch(at(post, "email/bulk", byServer, (*Simulator).sendBulk)),
	at(get, "email/bulk/*", byServer, (*Simulator).getBulk),
	at(put, "server", byServer, (*Simulator).editOwnServer),
	at(get, "messages/inbound", byServer, (*Simulator).listInbound),
	at(get, "messages/inbound/*/details", byServer, (*Simulator).getInbound),
	at(put, "messages/inbound/*/bypass", byServer, (*Simulator).bypassInbound),
	at(put, "messages/inbound/*/retry", byServer, (*Simulator).retryInbound),
	at(get, "triggers/inboundrules", byServer, (*Simulator).listRules),
	at(post, "triggers/inboundrules", byServer, (*Simulator).createRule),
	at(del, "triggers/inboundrules/*", byServer, (*Simulator).deleteRule),

	at(get, "stats/outbound", byServer, (*Simulator).outboundOverview),
	at(get, "stats/outbound/sends", byServer, (*Simulator).sentCounts),
	at(get, "stats/outbound/bounces", byServer, (*Simulator).bounceCounts),
	at(get, "stats/outbound/spam", byServer, (*Simulator).spamCounts),
	at(get, "stats/outbound/tracked", byServer, (*Simulator).trackedCounts),
	at(get, "stats/outbound/opens", byServer, (*Simulator).openCounts),
	at(get, "stats/outbound/opens/platforms", byServer, (*Simulator).openPlatforms),
	at(get, "stats/outbound/opens/emailclients", byServer, (*Simulator).openClients),
	at(get, "stats/outbound/opens/readtimes", byServer, (*Simulator).readTimes),
	at(get, "stats/outbound/clicks", byServer, (*Simulator).clickCounts),
	at(get, "stats/outbound/clicks/browserfamilies", byServer, (*Simulator).clickBrowsers),
	at(get, "stats/outbound/clicks/platforms", byServer, (*Simulator).clickPlatforms),
	at(get, "stats/outbound/clicks/location", byServer, (*Simulator).clickLocations),

	at(post, "servers", byAccount, (*Simulator).createServer),
	at(put, "servers/*", byAccount, (*Simulator).editServer),
	at(del, "servers/*", byAccount, (*Simulator).deleteServer),
	at(get, "domains", byAccount, (*Simulator).listDomains),
	at(post, "domains", byAccount, (*Simulator).createDomain),
	at(get, "domains/*", byAccount, (*Simulator).getDomain),
	at(put, "domains/*", byAccount, (*Simulator).editDomain),
	at(del, "domains/*", byAccount, (*Simulator).deleteDomain),
	at(put, "domains/*/verifydkim", byAccount, (*Simulator).verifyDKIM),
	at(put, "domains/*/verifyreturnpath", byAccount, (*Simulator).verifyReturnPath),
	at(post, "domains/*/verifyspf", byAccount, (*Simulator).verifySPF),
	at(post, "domains/*/rotatedkim", byAccount, (*Simulator).rotateDKIM),
	at(get, "senders", byAccount, (*Simulator).listSenders),
	at(post, "senders", byAccount, (*Simulator).createSender),
	at(get, "senders/*", byAccount, (*Simulator).getSender),
	at(put, "senders/*", byAccount, (*Simulator).editSender),
	at(del, "senders/*", byAccount, (*Simulator).deleteSender),
	at(post, "senders/*/resend", byAccount, (*Simulator).resendConfirmation),
	at(post, "senders/*/verifyspf", byAccount, (*Simulator).verifySenderSPF),
	at(post, "senders/*/requestnewdkim", byAccount, (*Simulator).renewSenderDKIM),
	at(post, "data-removals", byAccount, (*Simulator).createRemoval),
	at(get, "data-removals/*", byAccount, (*Simulator).getRemoval),
}
