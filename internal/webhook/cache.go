package webhook

import "sync"

// cache keeps what was used lately, up to about so many bytes: two generations, of which the older one is forgotten when the younger one has half of them.
type cache[K comparable, V any] struct {
	most int

	mu         sync.Mutex
	young, old map[K]V
	bytes      int // of the young
}

func newCache[K comparable, V any](most int) *cache[K, V] {
	return &cache[K, V]{most: most, young: map[K]V{}}
}

func (c *cache[K, V]) get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok = c.young[k]; !ok {
		v, ok = c.old[k]
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += size + 64; c.bytes > c.most/2 {
		c.young, c.old, c.bytes = map[K]V{}, c.young, size+64
	}
	c.young[k] = v
}
