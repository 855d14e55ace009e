package client

import (
	"context"
	"fmt"
	"net/http"

	"postyard/internal/secret"
)

// Member is somebody who uses the dashboard.
type Member struct {
	ID           int32  `json:"id"`
	Email        string `json:"email"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	Joined       bool   `json:"joined"`
	InvitedUntil int64  `json:"invitedUntil"`         // ns
	Created      int64  `json:"created"`              // ns
	LastSeen     int64  `json:"lastSeen"`             // ns
	Invitation   string `json:"invitation,omitempty"` // a URL, where one was made
}

const memberPath = "/api/v1/account/member"

// Members lists the account's members.
func (c *Client) Members(ctx context.Context) (list []Member, err error) {
	err = c.Account(ctx, http.MethodGet, memberPath, nil, &list)
	return list, err
}

// Invite makes a member, and the invitation with which they join.
func (c *Client) Invite(ctx context.Context, email, name, role string) (made Member, err error) {
	err = c.Account(ctx, http.MethodPost, memberPath, map[string]string{"email": email, "name": name, "role": role}, &made)
	return made, err
}

// InviteAgain makes a member another invitation.
func (c *Client) InviteAgain(ctx context.Context, id int32) (m Member, err error) {
	err = c.Account(ctx, http.MethodPost, fmt.Sprintf("%s/%d/invitation", memberPath, id), nil, &m)
	return m, err
}

// ChangeRole gives a member another role.
func (c *Client) ChangeRole(ctx context.Context, id int32, role string) (m Member, err error) {
	err = c.Account(ctx, http.MethodPut, fmt.Sprintf("%s/%d", memberPath, id), map[string]string{"role": role}, &m)
	return m, err
}

// RemoveMember removes a member.
func (c *Client) RemoveMember(ctx context.Context, id int32) error {
	return c.Account(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", memberPath, id), nil, nil)
}

// SetUpDashboard makes the first member of the account, an owner.
func (c *Client) SetUpDashboard(ctx context.Context, email, name, password string) error {
	return c.call(ctx, http.MethodPost, "/web/setup", "", secret.String{}, map[string]string{
		"accountKey": c.AccountKey.Reveal(), "email": email, "name": name, "password": password}, nil)
}

// Join takes an invitation, by its token.
func (c *Client) Join(ctx context.Context, token, password string) error {
	return c.call(ctx, http.MethodPost, "/web/invitation", "", secret.String{}, map[string]string{"token": token, "password": password}, nil)
}
