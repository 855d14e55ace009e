package engine

import (
	"encoding/json"
	"fmt"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// EgressOf returns the egress that a report counts for: that of the connection which carried the message, when the report tells it,
// else that of the connection by which it came (PM-30).
func EgressOf(p *store.Parsed, r *provider.Report) route.Egress {
	if r.TPSPID != 0 {
		return route.TPSP(r.TPSPID)
	}
	return route.TPSP(p.Receipt.TPSPID)
}

// PackWebhook returns the lists of a webhook as they are stored.
func PackWebhook(w *directory.Webhook) (probes, paused []byte, err error) {
	if probes, err = packList(w.Probes); err != nil {
		return nil, nil, err
	}
	paused, err = packList(w.Paused)
	return probes, paused, err
}

// UnpackWebhook is the inverse of PackWebhook.
func UnpackWebhook(w *directory.Webhook, probes, paused []byte) (err error) {
	if w.Probes, err = unpackList[provider.Probe](probes); err != nil {
		return err
	}
	w.Paused, err = unpackList[string](paused)
	return err
}

// packList writes what a webhook has several of; an empty list is no bytes.
func packList[T any](list []T) ([]byte, error) {
	if len(list) == 0 {
		return []byte{}, nil
	}
	packed, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", list, err)
	}
	return packed, nil
}

func unpackList[T any](packed []byte) (list []T, err error) {
	if len(packed) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(packed, &list); err != nil {
		return nil, fmt.Errorf("decode %T: %w", list, err)
	}
	return list, nil
}
