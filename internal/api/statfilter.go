package api

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

// readStatFilter reads which days and events a query asks for. In statistics, provider is the mailbox provider; filterBy with
// filterValue says the same as the parameter of that name. What the path fixes already cannot be asked for again.
func readStatFilter(q url.Values, f *store.StatFilter, most int) (err error) {
	if f.From, f.To, err = days(q, most); err != nil {
		return err
	}
	if by := q.Get("filterBy"); by != "" {
		name, ok := filterNames[strings.ToLower(by)]
		if !ok {
			return badParameter("filterBy", "must be provider, type, subaccount, tpsp or ip")
		}
		if q.Get(name) != "" {
			return badParameter("filterBy", "the query has "+name+" already")
		}
		if q.Get("filterValue") == "" {
			return badParameter("filterValue", "is required with filterBy")
		}
		q = cloneWith(q, name, q.Get("filterValue"))
	}
	if name := q.Get("provider"); name != "" {
		class, err := mailbox.Parse(strings.ToLower(name))
		if err != nil {
			return badParameter("provider", "must be a mailbox provider, such as gmail or default")
		}
		f.Mailbox = class
	}
	if f.Types, err = eventTypes(q["type"]); err != nil {
		return err
	}
	sub, err := optionalID(q, "subAccountId")
	if err != nil {
		return err
	}
	tpsp, err := optionalID(q, "tpspId")
	if err != nil {
		return err
	}
	ip, err := optionalID(q, "ipId")
	if err != nil {
		return err
	}
	switch {
	case sub != 0 && f.SubAccountID != 0:
		return badParameter("subAccountId", "these are the statistics of one sub-account already")
	case tpsp != 0 && f.Egress != 0:
		return badParameter("tpspId", "these are the statistics of one provider already")
	case ip != 0 && f.Egress != 0:
		return badParameter("ipId", "these are the statistics of one IP already")
	case ip != 0 && tpsp != 0:
		return badParameter("ipId", "no mail leaves through a provider and an IP")
	}
	if sub != 0 {
		f.SubAccountID = sub
	}
	if tpsp != 0 {
		f.Egress = route.TPSP(tpsp)
	}
	if ip != 0 {
		f.Egress = route.IP(ip)
	}
	return nil
}

// filterNames are the parameters that filterBy stands for.
var filterNames = map[string]string{"provider": "provider", "type": "type", "subaccount": "subAccountId", "tpsp": "tpspId", "ip": "ipId"}

// cloneWith returns a query with another value.
func cloneWith(q url.Values, name, value string) url.Values {
	clone := maps.Clone(q)
	clone.Set(name, value)
	return clone
}

// rowPage says which rows of a breakdown are asked for, and in which order.
type rowPage struct {
	page
	order      func(*statRow) int64 // nil: by name
	descending bool
	limitBy    func(*statRow) int64 // nil: no limit
	least      int64
}

// rowCounter finds a counter of rows by its name.
var rowCounter = map[string]func(*statRow) int64{
	"processed": func(r *statRow) int64 { return r.Processed }, "sent": func(r *statRow) int64 { return r.Sent },
	"delivered": func(r *statRow) int64 { return r.Delivered }, "dropped": func(r *statRow) int64 { return r.Dropped },
	"hardBounced": func(r *statRow) int64 { return r.HardBounced }, "softBounced": func(r *statRow) int64 { return r.SoftBounced },
	"opened": func(r *statRow) int64 { return r.Opened }, "clicked": func(r *statRow) int64 { return r.Clicked },
	"unsubscribed": func(r *statRow) int64 { return r.Unsubscribed }, "spam": func(r *statRow) int64 { return r.Spam },
	"uniqueOpened": func(r *statRow) int64 { return r.uniqueOpened }, "uniqueClicked": func(r *statRow) int64 { return r.uniqueClicked },
}

// counterNames lists them for people.
const counterNames = "processed, sent, delivered, dropped, hardBounced, softBounced, opened, clicked, unsubscribed, spam, uniqueOpened or uniqueClicked"

// readRowPage reads sortBy (or orderBy), sortOrder, search, limitBy with limitValue, limit, offset, and exported, which asks for all
// rows. Unless it is said otherwise, the rows with the most events come first.
func readRowPage(q url.Values) (p rowPage, err error) {
	if p.page, err = listPage(q); err != nil {
		return p, err
	}
	all, err := truth(q, "exported")
	if err != nil {
		return p, err
	}
	if all {
		p.limit, p.offset = 0, 0
	}
	p.order, p.descending = (*statRow).events, true
	parameter := "sortBy"
	by := q.Get(parameter)
	if by == "" {
		parameter = "orderBy"
		by = q.Get(parameter)
	}
	switch counter := rowCounter[by]; {
	case by == "":
	case by == "name":
		p.order, p.descending = nil, false
	case counter != nil:
		p.order = counter
	default:
		return p, badParameter(parameter, "must be name, "+counterNames)
	}
	switch order := strings.ToLower(q.Get("sortOrder")); order {
	case "":
	case "asc", "desc":
		p.descending = order == "desc"
	default:
		return p, badParameter("sortOrder", "must be asc or desc")
	}
	if by := q.Get("limitBy"); by != "" {
		if p.limitBy = rowCounter[by]; p.limitBy == nil {
			return p, badParameter("limitBy", "must be "+counterNames)
		}
		if p.least, err = strconv.ParseInt(q.Get("limitValue"), 10, 64); err != nil {
			return p, badParameter("limitValue", "must be the least number that limitBy is to have")
		}
	}
	return p, nil
}

// selects tells whether a row is among those that are asked for, on whatever page.
func (p *rowPage) selects(r *statRow) bool {
	return contains(r.name, p.search) && (p.limitBy == nil || p.limitBy(r) >= p.least)
}

// sort brings rows into the order that is asked for. Rows alike are in the order of names and ids.
func (p *rowPage) sort(rows []*statRow) {
	slices.SortFunc(rows, func(a, b *statRow) int {
		var c int
		if p.order != nil {
			c = cmp.Compare(p.order(a), p.order(b))
		} else {
			c = strings.Compare(a.name, b.name)
		}
		switch {
		case c != 0 && p.descending:
			return -c
		case c != 0:
			return c
		case a.name != b.name:
			return strings.Compare(a.name, b.name)
		default:
			return cmp.Compare(a.id, b.id)
		}
	})
}
