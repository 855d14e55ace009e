package bench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"postyard/internal/client"
)

// SendPost's types of Postmark's events.
const (
	pmDelivered = 71
	pmOpened    = 75
	pmClicked   = 76
)

// reports are requests as Postmark's webhooks make them: in turns, a delivery of each message, then an open of each, then
// clicks. Each happened at a second of its own for its message, by which it is known again in the log.
type reports struct {
	ledger    *ledger
	providers int
	head      []byte // of a request, up to the trace id
	metadata  []byte // of a message, but for its id
	stream    string
	began     time.Time // when the first turn happened; whole seconds
	next      atomic.Int64

	mu    sync.Mutex
	taken []bool // by number: acknowledged
	count int
}

// turn returns the message and the turn of report number n.
func (r *reports) turn(n int) (e *entry, turn int) {
	return &r.ledger.list[n%r.ledger.len()], n / r.ledger.len()
}

func kindOf(turn int) int {
	switch turn {
	case 0:
		return pmDelivered
	case 1:
		return pmOpened
	}
	return pmClicked
}

func (r *reports) acknowledged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *reports) take(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.taken) <= n {
		r.taken = append(r.taken, false)
	}
	r.taken[n] = true
	r.count++
}

func (*reports) types() string { return fmt.Sprintf("%d,%d,%d", pmDelivered, pmOpened, pmClicked) }

// size includes those that were posted and not acknowledged.
func (r *reports) size() int { return int(r.next.Load()) }

func (r *reports) wanted(n int) bool { return n < len(r.taken) && r.taken[n] }

func (r *reports) numberOf(e *client.Event) (int, bool) {
	position, ok := r.ledger.find(e.MessageID)
	turn := int(time.Unix(0, e.SubmittedAt).Sub(r.began) / time.Second)
	n := turn*r.ledger.len() + position
	return n, ok && turn >= 0 && n < r.size() && e.Type == kindOf(turn)
}

// find returns the position of an acknowledged message.
func (l *ledger) find(id string) (int, bool) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return 0, false
	}
	position, ok := l.position[parsed]
	return int(position), ok
}

func (r *reports) worker() worker { return &reporter{reports: r} }

// reporter reports over one connection.
type reporter struct {
	*reports
	number     int
	wire, body []byte
}

// reader is what Postmark says of who opens and clicks.
const reader = `"Client":{"Name":"Chrome 140","Company":"Google","Family":"Chrome"},"OS":{"Name":"macOS","Company":"Apple Computer, Inc.",` +
	`"Family":"macOS"},"Platform":"WebMail","UserAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) ` +
	`Chrome/140.0.0.0 Safari/537.36","Geo":{"CountryISOCode":"US","Country":"United States","RegionISOCode":"TX","Region":"Texas",` +
	`"City":"Houston","Zip":"77058","Coords":"29.5,-95.0","IP":"203.0.113.42"},`

func (w *reporter) request() []byte {
	w.number = int(w.next.Add(1) - 1)
	e, turn := w.turn(w.number)
	at := w.began.Add(time.Duration(turn) * time.Second).UTC().Format("2006-01-02T15:04:05.0000000Z")
	b := w.body[:0]
	switch kindOf(turn) {
	case pmDelivered:
		b = append(b, `{"RecordType":"Delivery","ServerID":1,"Details":"250 2.0.0 OK","DeliveredAt":"`...)
	case pmOpened:
		b = append(b, `{"RecordType":"Open","FirstOpen":true,"ReadSeconds":5,`+reader+`"ReceivedAt":"`...)
	default:
		b = append(b, `{"RecordType":"Click","ClickLocation":"HTML","OriginalLink":"https://example.com/start",`+reader+`"ReceivedAt":"`...)
	}
	b = append(append(b, at...), `","MessageStream":"`...)
	b = append(append(b, w.stream...), `","MessageID":"`...)
	b = append(append(b, e.provider.String()...), `","Recipient":"`...)
	b = append(append(b, recipient(int(e.n), w.providers)...), `","Tag":null,"Metadata":{"messageId":"`...)
	b = append(append(b, e.id.String()...), '"')
	b = append(append(b, w.metadata...), '}', '}')
	w.body = b
	q := append(w.wire[:0], w.head...)
	q = append(strconv.AppendInt(q, int64(w.number), 16), "\r\nContent-Length: "...)
	q = append(strconv.AppendInt(q, int64(len(b)), 10), "\r\n\r\n"...)
	w.wire = append(q, b...)
	return w.wire
}

func (w *reporter) answer(status int, body []byte) error {
	if status != 200 {
		return fmt.Errorf("report: status %d: %.200s", status, body)
	}
	w.take(w.number)
	return nil
}

// otherMetadata is the metadata of a message without its id, as it goes on behind it.
func otherMetadata(all map[string]string) ([]byte, error) {
	var out []byte
	for name, value := range all {
		if name == "messageId" {
			continue
		}
		pair, err := json.Marshal(map[string]string{name: value})
		if err != nil {
			return nil, fmt.Errorf("encode metadata: %w", err)
		}
		out = append(append(out, ','), pair[1:len(pair)-1]...)
	}
	return out, nil
}

// lifeEvents are a delivery and an open of each message.
type lifeEvents struct{ ledger *ledger }

func (lifeEvents) types() string   { return fmt.Sprintf("%d,%d", pmDelivered, pmOpened) }
func (l lifeEvents) size() int     { return 2 * l.ledger.len() }
func (lifeEvents) wanted(int) bool { return true }
func (l lifeEvents) numberOf(e *client.Event) (int, bool) {
	position, ok := l.ledger.find(e.MessageID)
	if e.Type == pmOpened {
		position += l.ledger.len()
	}
	return position, ok
}
