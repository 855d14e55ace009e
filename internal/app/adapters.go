package app

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"postyard/internal/provider"
)

// Adapters returns those of the kinds of providers that users can connect, in the order of their types, for documents.
func Adapters() []provider.Adapter {
	registry := providers(&http.Transport{}, false, time.Now)
	delete(registry, provider.IP) // the operator's
	adapters := make([]provider.Adapter, 0, len(registry))
	for _, kind := range slices.Sorted(maps.Keys(registry)) {
		adapters = append(adapters, registry[kind])
	}
	return adapters
}
