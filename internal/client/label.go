package client

import (
	"context"
	"fmt"
	"net/http"
)

// Label is a word that an account tells its sub-accounts apart by.
type Label struct {
	ID      int32  `json:"id"`
	Name    string `json:"name"`
	Color   string `json:"color"`
	Created int64  `json:"created"` // ns
}

const labelPath = "/api/v1/account/label"

// Labels lists the account's labels.
func (c *Client) Labels(ctx context.Context) (list []Label, err error) {
	err = c.Account(ctx, http.MethodGet, labelPath, nil, &list)
	return list, err
}

// CreateLabel makes a label.
func (c *Client) CreateLabel(ctx context.Context, name, color string) (made Label, err error) {
	err = c.Account(ctx, http.MethodPost, labelPath, map[string]string{"name": name, "color": color}, &made)
	return made, err
}

// DeleteLabel removes a label from everything that has it.
func (c *Client) DeleteLabel(ctx context.Context, id int32) error {
	return c.Account(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", labelPath, id), nil, nil)
}

// LabelSubAccount sets the labels of a sub-account, by their names.
func (c *Client) LabelSubAccount(ctx context.Context, id int32, labels []string) error {
	if labels == nil {
		labels = []string{}
	}
	return c.Account(ctx, http.MethodPut, fmt.Sprintf("/api/v1/account/subaccount/%d", id), map[string][]string{"labels": labels}, nil)
}
