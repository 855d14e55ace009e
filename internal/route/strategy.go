package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"postyard/internal/mail"
	"postyard/internal/mailbox"
)

// Limits of a pool.
const (
	MaxMembers  = 64       // egresses
	MaxRound    = 10_000   // sum of the volumes, after they were reduced: the shares are kept within so many messages
	MaxMetaData = 64 << 10 // bytes of routing metadata
)

// Others is the key of every mailbox provider or sending domain that has none of its own (RT-4).
const Others = "others"

// metaDataField is what a refusal of routing metadata names.
const metaDataField = "routingMetaData"

// Message is what strategies look at.
type Message struct {
	Mailbox mailbox.Class
	Sender  string // the domain of the From address, in lower-case ASCII
}

// Table is the strategy of a pool, read once. It does not change.
type Table struct {
	pool   string // the pool's name
	of     Strategy
	all    *group            // all members; with volumes for strategy Volume
	keys   map[string]*group // by mailbox provider id or sending domain, and Others
	fault  bool              // the metadata could not be read: it is round robin then
	member []Egress
}

// group is a list of egresses that share messages.
type group struct {
	egresses []Egress
	weights  []int // 0: only when the others cannot

	mu        sync.RWMutex
	schedules map[set]*schedule
}

// maxSchedules bounds what a group remembers; a schedule takes up to 40 KB.
const maxSchedules = 256

func newGroup(egresses []Egress, weights []int) *group {
	if weights == nil {
		weights = slices.Repeat([]int{1}, len(egresses))
	}
	return &group{egresses: egresses, weights: weights, schedules: map[set]*schedule{}}
}

// schedule returns the schedule of a subset of the group; when none of it has a weight, the shares are equal.
func (g *group) schedule(subset set) *schedule {
	g.mu.RLock()
	s := g.schedules[subset]
	g.mu.RUnlock()
	if s != nil {
		return s
	}
	weights := g.weights
	if g.weighted()&subset == 0 {
		weights = slices.Repeat([]int{1}, len(weights))
	}
	s = newSchedule(weights, subset)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.schedules) >= maxSchedules {
		clear(g.schedules)
	}
	g.schedules[subset] = s
	return s
}

// weighted returns who has a weight.
func (g *group) weighted() (s set) {
	for i, w := range g.weights {
		if w > 0 {
			s = s.with(i)
		}
	}
	return s
}

// Compile reads the strategy of a stored pool. What the metadata names and is no member any more (a deleted TPSP) is left out;
// a key that is left with nobody is as if it were not there.
func Compile(p *Pool) *Table {
	members := p.Members[:min(len(p.Members), MaxMembers)]
	t := &Table{pool: p.Name, of: p.Strategy, all: newGroup(members, nil), member: members}
	meta, bad := parse(p.Strategy, p.RoutingMetaData)
	if bad != nil {
		t.fault = true
		return t
	}
	if p.Strategy == Volume {
		weights, _ := reduce(meta.weightsOf(members)) // parse has seen that it can be reduced; fewer members do not change that
		t.all = newGroup(members, weights)
	}
	t.keys = map[string]*group{}
	for _, entry := range meta.lists {
		named := slices.DeleteFunc(slices.Clone(entry.egresses), func(e Egress) bool { return !slices.Contains(members, e) })
		if len(named) > 0 {
			t.keys[entry.key] = newGroup(named, nil)
		}
	}
	return t
}

// Check refuses routing metadata that breaks a rule of its strategy, or names somebody who is not a member. The error names the
// field routingMetaData, and the key.
func Check(s Strategy, metaData string, members []Egress) *mail.FieldError {
	if !s.Known() {
		return mail.Invalid("unknown_strategy", "routingStrategy",
			"routingStrategy is 0 (round robin), 1 (by mailbox provider), 2 (by volume) or 3 (by sending domain)")
	}
	meta, bad := parse(s, metaData)
	if bad != nil {
		return bad
	}
	stranger := func(key string, e Egress) *mail.FieldError {
		if slices.Contains(members, e) {
			return nil
		}
		return refuse("unknown_egress", "%s: %s is not in this pool", key, e)
	}
	for _, v := range meta.volumes {
		if bad := stranger(strconv.Quote(v.egress.String()), v.egress); bad != nil {
			return bad
		}
	}
	for _, list := range meta.lists {
		for _, e := range list.egresses {
			if bad := stranger(strconv.Quote(list.key), e); bad != nil {
				return bad
			}
		}
	}
	return nil
}

func refuse(code, format string, args ...any) *mail.FieldError {
	return mail.Invalid(code, metaDataField, "routingMetaData, "+format, args...)
}

// metaData is routing metadata as it was read.
type metaData struct {
	volumes []volume
	lists   []list
}

type volume struct {
	egress Egress
	hundredths
}

// hundredths is a volume in hundredths.
type hundredths int

type list struct {
	key      string
	egresses []Egress
}

// weightsOf returns the volumes of a pool's members; who is not named has none.
func (m *metaData) weightsOf(members []Egress) []int {
	weights := make([]int, len(members))
	for i, e := range members {
		for _, v := range m.volumes {
			if v.egress == e {
				weights[i] = int(v.hundredths)
			}
		}
	}
	return weights
}

// reduce divides by what all have in common. It fails when the sum is above MaxRound then.
func reduce(weights []int) (reduced []int, sum int) {
	common := 0
	for _, w := range weights {
		common = gcd(common, w)
	}
	reduced = make([]int, len(weights))
	if common == 0 {
		return reduced, 0
	}
	for i, w := range weights {
		reduced[i] = w / common
		sum += reduced[i]
	}
	return reduced, sum
}

// parse reads routing metadata. It does not know who is in the pool.
func parse(s Strategy, text string) (meta metaData, bad *mail.FieldError) {
	if len(text) > MaxMetaData {
		return meta, refuse("metadata_too_large", "which has %d bytes: at most %d are taken", len(text), MaxMetaData)
	}
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	entries, err := object(text)
	if err != nil {
		return meta, refuse("invalid_metadata", "which must be a JSON object in a string: %s", err)
	}
	switch {
	case s == RoundRobin && len(entries) > 0:
		return meta, refuse("invalid_metadata", "key %s: round robin (strategy 0) takes none: leave it empty, or {}", clip(entries[0].key))
	case s != RoundRobin && len(entries) == 0:
		return meta, refuse("missing_metadata", "which is empty: strategy %d (%s) needs it", s, s)
	case s == RoundRobin:
		return meta, nil
	case s == Volume:
		return parseVolumes(entries)
	}
	for _, e := range entries {
		key, bad := parseKey(s, e.key)
		if bad != nil {
			return meta, bad
		}
		if slices.ContainsFunc(meta.lists, func(l list) bool { return l.key == key }) {
			return meta, refuse("duplicate_key", "key %s stands there twice", clip(e.key))
		}
		egresses, bad := parseList(e)
		if bad != nil {
			return meta, bad
		}
		meta.lists = append(meta.lists, list{key, egresses})
	}
	return meta, nil
}

func parseKey(s Strategy, key string) (string, *mail.FieldError) {
	if s == SendingDomain {
		if strings.EqualFold(key, Others) {
			return Others, nil
		}
		address, err := mail.ParseEmail("x@" + key)
		if err != nil || strings.Contains(key, "@") {
			return "", refuse("unknown_key", "key %s: keys are From domains, as example.com, or %q", clip(key), Others)
		}
		return mail.Domain(address), nil
	}
	if key == Others {
		return key, nil
	}
	id, err := strconv.Atoi(key)
	if err == nil && strconv.Itoa(id) == key {
		_, err = mailbox.ByID(id)
	} else {
		err = errors.New("not a number")
	}
	if err == nil {
		return key, nil
	}
	if class, err := mailbox.Parse(key); err == nil {
		return "", refuse("unknown_mailbox_provider", "key %s: mailbox providers are named by their numbers, %s is \"%d\"", clip(key), class, class.ID())
	}
	return "", refuse("unknown_mailbox_provider", "key %s: keys are the numbers of mailbox providers, \"0\" to \"%d\", or %q", clip(key),
		len(mailbox.Classes())-1, Others)
}

// parseList reads a string that holds a JSON list of egresses.
func parseList(e entry) ([]Egress, *mail.FieldError) {
	key := clip(e.key)
	var text string
	var names []string
	if json.Unmarshal(e.value, &text) != nil || !strings.HasPrefix(strings.TrimSpace(text), "[") || json.Unmarshal([]byte(text), &names) != nil {
		return nil, refuse("invalid_metadata", `key %s: its value must be a string that holds a JSON list, as "[\"TPSP_5\"]"`, key)
	}
	if len(names) == 0 {
		return nil, refuse("invalid_metadata", "key %s: its list is empty", key)
	}
	if len(names) > MaxMembers {
		return nil, refuse("invalid_metadata", "key %s: its list has more than %d entries", key, MaxMembers)
	}
	egresses := make([]Egress, len(names))
	for i, name := range names {
		egress, ok := ParseEgress(name)
		if !ok {
			return nil, refuse("invalid_egress", "key %s: %s is no egress: write TPSP_5 or IP_3", key, clip(name))
		}
		if slices.Contains(egresses[:i], egress) {
			return nil, refuse("duplicate_egress", "key %s: %s stands in its list twice", key, egress)
		}
		egresses[i] = egress
	}
	return egresses, nil
}

// volumeText is how volumes are written: at most two decimals.
var volumeText = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,2})?$`)

func parseVolumes(entries []entry) (meta metaData, bad *mail.FieldError) {
	var weights []int
	for _, e := range entries {
		key := clip(e.key)
		egress, ok := ParseEgress(e.key)
		if !ok {
			return meta, refuse("invalid_egress", "key %s is no egress: write TPSP_5 or IP_3", key)
		}
		var text string
		if json.Unmarshal(e.value, &text) != nil {
			text = string(e.value) // a number
		}
		if !volumeText.MatchString(text) {
			return meta, refuse("invalid_volume", "key %s: a volume is a number from 0 to 999999999 with at most two decimals, as \"70\"", key)
		}
		whole, fraction, _ := strings.Cut(text, ".")
		n, err := strconv.Atoi(whole + (fraction + "00")[:2])
		if err != nil {
			return meta, refuse("invalid_volume", "key %s: %s is no volume", key, clip(text))
		}
		meta.volumes = append(meta.volumes, volume{egress, hundredths(n)})
		weights = append(weights, n)
	}
	switch _, sum := reduce(weights); {
	case sum == 0:
		return meta, refuse("no_volume", "which gives all volume 0: somebody has to carry the mail")
	case sum > MaxRound:
		return meta, refuse("volumes_too_fine", "whose volumes add up to %d when they are reduced, at most %d is kept exactly: "+
			"choose rounder ones", sum, MaxRound)
	}
	return meta, nil
}

// egressName is how egresses are written (RT-3).
var egressName = regexp.MustCompile(`^(TPSP|IP)_([1-9][0-9]{0,9})$`)

// ParseEgress reads the name of an egress: TPSP_5, IP_3.
func ParseEgress(name string) (Egress, bool) {
	m := egressName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(m[2], 10, 32)
	if err != nil {
		return 0, false
	}
	if m[1] == "IP" {
		id = -id
	}
	return Egress(id), true
}

// entry is a key of a JSON object with its value.
type entry struct {
	key   string
	value json.RawMessage
}

// maxEntries is the most keys that routing metadata has.
const maxEntries = 2000

// object reads a JSON object and refuses one that has a key twice.
func object(text string) ([]entry, error) {
	d := json.NewDecoder(strings.NewReader(text))
	open, err := d.Token()
	if err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	if open != json.Delim('{') {
		return nil, errors.New("it is another kind of JSON value")
	}
	var entries []entry
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("it is not valid JSON")
		}
		e := entry{key: key}
		if err := d.Decode(&e.value); err != nil {
			return nil, fmt.Errorf("the value of %s is not valid JSON", clip(key))
		}
		e.value = bytes.TrimSpace(e.value)
		if seen[key] {
			return nil, fmt.Errorf("the key %s stands there twice", clip(key))
		}
		seen[key] = true
		if entries = append(entries, e); len(entries) > maxEntries {
			return nil, fmt.Errorf("it has more than %d keys", maxEntries)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return entries, nil
}

// clip quotes foreign text, shortened.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strconv.Quote(s)
}
