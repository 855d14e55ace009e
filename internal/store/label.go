package store

import (
	"context"

	"postyard/internal/directory"
)

// Labels keeps the labels of accounts, and which sub-accounts have them. The directory loads both.
type Labels interface {
	// CreateLabel stores a label and gives its id. ErrConflict: the account has one with this name.
	CreateLabel(ctx context.Context, l *directory.Label) error

	// UpdateLabel changes a label's name and color. ErrNotFound: the account has none with this id. ErrConflict: the name is taken.
	UpdateLabel(ctx context.Context, l *directory.Label) error

	// DeleteLabel removes a label from everything that has it. ErrNotFound as above.
	DeleteLabel(ctx context.Context, accountID, id int32) error

	// LabelSubAccount sets the labels of a sub-account. ErrNotFound: the account has no such sub-account, or not all of the labels.
	LabelSubAccount(ctx context.Context, accountID, subAccountID int32, labels []int32) error
}
