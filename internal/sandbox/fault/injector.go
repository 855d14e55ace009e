package fault

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
)

// Wording is how a provider answers a request with the error of a rule: the body, its content type and headers of its own.
type Wording func(*http.Request, Rule) (header http.Header, body []byte)

// ByCode is the Wording of a provider whose errors have numbers.
func ByCode(word func(status, errorCode int) (header http.Header, body []byte)) Wording {
	return func(_ *http.Request, rule Rule) (http.Header, []byte) { return word(rule.Status, rule.ErrorCode) }
}

// Injector holds the rules. It is safe for concurrent use.
type Injector struct {
	mu     sync.Mutex
	chance *rand.Rand
	rules  []Rule
	freed  chan struct{} // closed when hanging requests are let go
	closed bool
}

// New returns an injector without rules that draws its luck from source.
func New(source rand.Source) *Injector {
	return &Injector{chance: rand.New(source), freed: make(chan struct{})}
}

// Set replaces the rules and lets every hanging request go.
func (i *Injector) Set(rules []Rule) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = slices.Clone(rules)
	i.free()
	if !i.closed {
		i.freed = make(chan struct{})
	}
}

// Reset takes all rules away, lets every hanging request go, and draws luck from source from now on.
func (i *Injector) Reset(source rand.Source) {
	i.Set(nil)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.chance = rand.New(source)
}

// Rules returns the rules with what is left of their counts. A rule that has used up its count is not listed.
func (i *Injector) Rules() []Rule {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(i.rules), func(r Rule) bool { return r.spent })
}

// Close lets every hanging request go, now and from now on.
func (i *Injector) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.free()
	i.closed = true
}

// free is called with the lock held.
func (i *Injector) free() {
	if !i.closed {
		close(i.freed)
	}
}

// Pick returns the rule that hits what is asked of a provider's server, if any, and the channel that ends a hang.
func (i *Injector) Pick(at Place) (hit Rule, freed <-chan struct{}, ok bool) {
	return i.pick(at, false)
}

// PickNamed is Pick among the rules that name the provider: for one whose paths and statuses are not those of the others.
func (i *Injector) PickNamed(at Place) (hit Rule, freed <-chan struct{}, ok bool) {
	return i.pick(at, true)
}

func (i *Injector) pick(at Place, named bool) (hit Rule, freed <-chan struct{}, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := range i.rules {
		rule := &i.rules[n]
		if named && rule.Provider == "" || !rule.matches(at) || rule.Probability < 1 && i.chance.Float64() >= rule.Probability {
			continue
		}
		if rule.Count > 0 {
			rule.Count--
			rule.spent = rule.Count == 0
		}
		return *rule, i.freed, true
	}
	return Rule{}, i.freed, false
}

// Wrap returns the provider's handler with the faults in front of it. whose tells which server a request is for, by name and token.
func (i *Injector) Wrap(provider string, whose func(*http.Request) [2]string, wording Wording, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, freed, ok := i.Pick(Place{Provider: provider, Server: whose(r), Path: r.URL.Path})
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		switch rule.Kind {
		case Status:
			answer(w, r, rule, wording)
		case Delay:
			if rule.Wait(r.Context(), freed) {
				next.ServeHTTP(w, r)
			}
		case Hang:
			hang(w, r, freed)
		case ResetBefore:
			swallow(w, r)
			cut(w, nil, true)
		case ResetAfter:
			next.ServeHTTP(newRecorder(), r)
			cut(w, nil, true)
		case Truncate:
			rec := newRecorder()
			next.ServeHTTP(rec, r)
			cut(w, rec.half(r), false)
		case Drip:
			rec := newRecorder()
			next.ServeHTTP(rec, r)
			drip(w, r, rec, freed)
		}
	})
}
