package api

import "slices"

// The parameters of queries that several operations take.
var (
	rangeParameters = []parameter{
		{Name: "from", Kind: "date", Required: true, Summary: "the first day, YYYY-MM-DD in UTC"},
		{Name: "to", Kind: "date", Required: true, Summary: "the last day, YYYY-MM-DD in UTC"},
	}
	groupParameter = parameter{Name: "group", Kind: "string", Required: true, Summary: "the group, as requests name it"}
	forceParameter = parameter{Name: "force", Kind: "boolean", Summary: "although something still depends on it"}

	statParameters = append(slices.Clip(rangeParameters),
		parameter{Name: "provider", Kind: "string", Summary: "only mail to this mailbox provider, such as gmail"},
		parameter{Name: "type", Kind: "string", Summary: "only events of these types: ids, in a comma list"},
		parameter{Name: "subAccountId", Kind: "integer", Summary: "only mail of this sub-account"},
		parameter{Name: "tpspId", Kind: "integer", Summary: "only mail through this provider"},
		parameter{Name: "ipId", Kind: "integer", Summary: "only mail through this IP"},
		parameter{Name: "filterBy", Kind: "string", Summary: "provider, type, subaccount, tpsp or ip: filterValue says which"},
		parameter{Name: "filterValue", Kind: "string", Summary: "the value that filterBy names"})
	subStatParameters = append(slices.Clip(statParameters),
		parameter{Name: "withChildren", Kind: "boolean", Summary: "also mail of all sub-accounts that stand under it, deleted ones included"})
	rowParameters = append(pageParameters("name"),
		parameter{Name: "sortBy", Kind: "string", Summary: "name, or the counter by which the rows are sorted"},
		parameter{Name: "orderBy", Kind: "string", Summary: "the same as sortBy"},
		parameter{Name: "sortOrder", Kind: "string", Summary: "asc or desc"},
		parameter{Name: "limitBy", Kind: "string", Summary: "the counter that must come to limitValue"},
		parameter{Name: "limitValue", Kind: "integer", Summary: "the least value of the counter that limitBy names"},
		parameter{Name: "exported", Kind: "boolean", Summary: "all rows, without pages"})

	eventParameters = []parameter{
		{Name: "search", Kind: "string", Summary: "part of the recipient's address, or the id of a message or of an event"},
		{Name: "type", Kind: "string", Summary: "only events of these types: ids, in a comma list"},
		{Name: "messageId", Kind: "string", Summary: "only events of this message"},
		{Name: "recipient", Kind: "string", Summary: "only events of this address"},
		{Name: "from", Kind: "string", Summary: "since this day, or this instant as RFC 3339 has it"},
		{Name: "to", Kind: "string", Summary: "until this day, included, or before this instant"},
		{Name: "tpspId", Kind: "integer", Summary: "only events of mail through this provider"},
		{Name: "ipId", Kind: "integer", Summary: "only events of mail through this IP"},
		{Name: "provider", Kind: "string", Summary: "only events of providers of this kind: its name or type id"},
		{Name: "subAccountId", Kind: "integer", Summary: "only events of this sub-account"},
		{Name: "mailbox", Kind: "string", Summary: "only events of mail to this mailbox provider, such as gmail"},
		{Name: "group", Kind: "string", Summary: "only events of mail of this group, as far as groups are counted by name"},
		{Name: "domain", Kind: "string", Summary: "only events that statistics count under this whitelisted domain of the sender"},
		{Name: "reason", Kind: "string", Summary: "only bounces that statistics count under this reason, such as HardBounce, 5.1.1 or (unknown)"},
		{Name: "device", Kind: "string", Summary: "only opens and clicks that statistics count under this device, such as Mobile or (unknown)"},
		{Name: "client", Kind: "string", Summary: "only opens and clicks that statistics count under this program, such as Gmail or (other)"},
		{Name: "os", Kind: "string", Summary: "only opens and clicks that statistics count under this operating system, such as iOS"},
		{Name: "country", Kind: "string", Summary: "only opens and clicks that statistics count under this country, such as DE or (unknown)"},
		{Name: "first", Kind: "boolean", Summary: "only the first open, or click, of each message, as statistics count unique ones"},
		{Name: "source", Kind: "string", Summary: "tpsp, ip or subaccount: sourceId says which"},
		{Name: "sourceId", Kind: "integer", Summary: "the id that source names"},
	}
	eventPageParameters = []parameter{
		{Name: "limit", Kind: "integer", Summary: "the most events of the answer, 100 unless it is said"},
		{Name: "offset", Kind: "integer", Summary: "how many events are skipped"},
		{Name: "order", Kind: "string", Summary: "asc, as they were recorded, or desc"},
		{Name: "after", Kind: "string", Summary: "only events after the one with this id"},
		{Name: "before", Kind: "string", Summary: "only events before the one with this id"},
	}

	suppressionParameters = append(slices.Clip(rangeParameters),
		parameter{Name: "type", Kind: "string", Summary: "hardBounce, manual, spamComplaint or unsubscribe"})

	routeParameters = []parameter{
		{Name: "to", Kind: "string", Required: true, Summary: "the recipient's address"},
		{Name: "from", Kind: "string", Summary: "the sender's address"},
		{Name: "subject", Kind: "string", Summary: "the subject that the message would have"},
		{Name: "tpspTemplate", Kind: "string", Summary: "the template that the message would name"},
		{Name: "seq", Kind: "integer", Summary: "the place in the pool's sequence"},
		{Name: "sample", Kind: "integer", Summary: "count the first choices of so many messages in a row"},
	}
	awaitingParameter = parameter{Name: "awaiting", Kind: "string", Summary: "how long a provider may take to confirm, such as 24h"}
)

// searchParameter narrows a list or a count.
func searchParameter(searched string) parameter {
	return parameter{Name: "search", Kind: "string", Summary: "part of the " + searched}
}
