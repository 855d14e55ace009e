package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// StatsQuery asks for statistics.
type StatsQuery struct {
	By       string // day, total, or what rows are by
	TPSPID   int32  // of one provider; 0: of the account
	From, To string // days as YYYY-MM-DD, both included
	Provider string // a mailbox provider, "" for all
}

// StatsPath returns where statistics are asked for. What an account has no operation for is an error.
func StatsPath(q StatsQuery) (string, error) {
	path := "/api/v1/account/stat"
	if q.TPSPID != 0 {
		path = fmt.Sprintf("/api/v1/account/tpsp/stat/%d", q.TPSPID)
	}
	switch q.By {
	case "day":
	case "total":
		path += "/aggregate"
	case "ip":
		if q.TPSPID != 0 {
			return "", errors.New("the statistics of a provider cannot be by IP: leave --tpsp out")
		}
		path += "/aggregate/ip"
	case "tpsp":
		if q.TPSPID != 0 {
			return "", errors.New("the statistics of one provider cannot be by provider: leave --tpsp out")
		}
		path += "/aggregate/tpsp"
	case "group":
		if q.TPSPID == 0 { // that path is SendPost's, for one group
			return "", errors.New("statistics by group are of one provider: say which with --tpsp")
		}
		path += "/aggregate/group"
	case "provider", "subaccount", "domain", "reason", "device", "client", "os", "country", "engagement", "delay":
		path += "/aggregate/" + q.By
	default:
		return "", fmt.Errorf("statistics are by %s", strings.Join(StatsBy, ", "))
	}
	values := url.Values{"from": {q.From}, "to": {q.To}}
	if q.Provider != "" {
		values.Set("provider", q.Provider)
	}
	return path + "?" + values.Encode(), nil
}

// StatsBy lists what statistics are by.
var StatsBy = []string{"day", "total", "tpsp", "ip", "provider", "subaccount", "domain", "group", "reason", "device", "client", "os", "country", "engagement", "delay"}

// Stats returns statistics as the server answers.
func (c *Client) Stats(ctx context.Context, q StatsQuery, out any) error {
	path, err := StatsPath(q)
	if err != nil {
		return err
	}
	return c.Account(ctx, http.MethodGet, path, nil, out)
}
