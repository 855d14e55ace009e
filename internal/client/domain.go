package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Domain is a sender domain that the sub-account has whitelisted.
type Domain struct {
	ID                      int32     `json:"id"`
	Name                    string    `json:"name"`
	DKIM                    DNSRecord `json:"dkim"`
	SPF                     DNSRecord `json:"spf"`
	ReturnPath              DNSRecord `json:"returnPath"`
	Track                   DNSRecord `json:"track"`
	DMARC                   DNSRecord `json:"dmarc"`
	DKIMVerified            bool      `json:"dkimVerified"`
	SPFVerified             bool      `json:"spfVerified"`
	ReturnPathVerified      bool      `json:"returnPathVerified"`
	TrackVerified           bool      `json:"trackVerified"`
	DMARCVerified           bool      `json:"dmarcVerified"`
	Verified                bool      `json:"verified"`
	Created                 int64     `json:"created"` // ns
	DKIMFailureReason       string    `json:"dkimFailureReason"`
	ReturnPathFailureReason string    `json:"returnPathFailureReason"`
	TrackFailureReason      string    `json:"trackFailureReason"`
	DMARCFailureReason      string    `json:"dmarcFailureReason"`
}

// DNSRecord is a record that a domain is to have.
type DNSRecord struct {
	Host  string `json:"host"`
	Type  string `json:"type"`
	Value string `json:"textValue"`
}

const domainPath = "/api/v1/subaccount/domain"

func domainURL(id int32) string { return domainPath + "/" + strconv.Itoa(int(id)) }

// Domains lists the sub-account's domains whose name contains search.
func (c *Client) Domains(ctx context.Context, search string) (list []Domain, err error) {
	path := domainPath
	if search != "" {
		path += "?" + url.Values{"search": {search}}.Encode()
	}
	err = c.SubAccount(ctx, http.MethodGet, path, nil, &list)
	return list, err
}

// AddDomain whitelists a domain.
func (c *Client) AddDomain(ctx context.Context, name string) (d *Domain, err error) {
	err = c.SubAccount(ctx, http.MethodPost, domainPath, map[string]string{"name": name}, &d)
	return d, err
}

// Domain returns one of the sub-account's domains.
func (c *Client) Domain(ctx context.Context, id int32) (d *Domain, err error) {
	err = c.SubAccount(ctx, http.MethodGet, domainURL(id), nil, &d)
	return d, err
}

// VerifyDomain has DNS asked about a domain now.
func (c *Client) VerifyDomain(ctx context.Context, id int32) (d *Domain, err error) {
	err = c.SubAccount(ctx, http.MethodPost, domainURL(id)+"/verify", nil, &d)
	return d, err
}

// DeleteDomain takes a domain out of use, and returns what the server says.
func (c *Client) DeleteDomain(ctx context.Context, id int32) (message string, err error) {
	var gone struct {
		Message string `json:"message"`
	}
	err = c.SubAccount(ctx, http.MethodDelete, domainURL(id), nil, &gone)
	return gone.Message, err
}
