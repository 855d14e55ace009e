package postmark

import (
	"context"
	"time"

	"postyard/internal/provider"
)

// ErrorCodes shows the table to the test that walks it.
func ErrorCodes() map[int]provider.Class {
	classes := make(map[int]provider.Class)
	for code, v := range errorCodes {
		classes[code] = v.class
	}
	return classes
}

// SetBodyLimit makes the adapter split its calls at that many encoded bytes.
func (a *Adapter) SetBodyLimit(bytes int) { a.bodyLimit = bytes }

// SetPause replaces the waits between the tries of a question.
func (a *Adapter) SetPause(pause func(context.Context, int) error) { a.pause = pause }

// SetReach makes lists end after so many entries, and details be too long beyond so many bytes.
func (a *Adapter) SetReach(entries int, detail int64) { a.reach, a.maxDetail = entries, detail }

// SetPatience limits each try of a question about the past.
func (a *Adapter) SetPatience(d time.Duration) { a.patience = d }
