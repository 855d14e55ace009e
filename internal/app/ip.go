package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"postyard/internal/config"
	"postyard/internal/directory"
	"postyard/internal/ip"
	"postyard/internal/provider"
	"postyard/internal/provider/smtp"
	"postyard/internal/secret"
	"postyard/internal/tpsp"
)

// mailServers reads the mail servers of the operator's own IPs. Its errors name the address, and do not quote the URL.
func mailServers(list []config.IP) (ip.Servers, error) {
	servers := make(ip.Servers, len(list))
	check := smtp.New(smtp.Config{Own: true, AllowPrivate: true})
	for _, one := range list {
		conn, err := mailServer(one.Server)
		if err != nil {
			return nil, fmt.Errorf("option ip, %s: %w", one.Address, err)
		}
		normal, bad := check.Normalize(conn)
		if bad != nil {
			return nil, fmt.Errorf("option ip, %s: %s", one.Address, bad.Message)
		}
		servers[one.Address] = normal
	}
	return servers, nil
}

func mailServer(from secret.String) (conn provider.Connection, err error) {
	u, err := url.Parse(from.Reveal())
	if err != nil {
		return conn, errors.New("this is not a URL") // url.Parse quotes it
	}
	if u.User != nil {
		password, _ := u.User.Password()
		conn.Key, conn.Secret = secret.NewString(u.User.Username()), secret.NewString(password)
		u.User = nil
	}
	q := u.Query()
	conn.Domain = q.Get("hello")
	if q.Del("hello"); len(q) > 0 {
		return conn, errors.New("the URL of a mail server takes the parameter hello, and no other")
	}
	u.RawQuery = ""
	conn.Endpoint = u.String()
	return conn, nil
}

// ways knows how to reach TPSPs and the operator's own IPs.
type ways struct {
	*tpsp.Service
	ips *ip.Service
}

// Connection returns how an egress is reached.
func (w ways) Connection(t *directory.TPSP) (provider.Connection, error) {
	if t.IsIP() {
		return w.ips.Connection(t)
	}
	return w.Service.Connection(t)
}

// adoptIPs gives the first account the configured IPs that nobody has or had.
func (s *Server) adoptIPs(ctx context.Context) error {
	accounts := s.directory.Current().Accounts()
	if len(accounts) == 0 {
		return nil
	}
	n, err := s.ips.Adopt(ctx, accounts[0].ID)
	if _, taken := errors.AsType[*ip.TakenError](err); taken {
		s.log.Warn("an IP was allocated to an account just now; the other new ones are, at the next start")
		return nil
	}
	if n > 0 && err == nil {
		s.log.Info("configured IPs were given to the first account", "ips", n)
	}
	return err
}
