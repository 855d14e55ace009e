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
}
