package track

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/groupcommit"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// ErrUnknown means that an address is none that this server made, or was changed, or that its message is not there any more.
var ErrUnknown = errors.New("this link is not one of this server, or it is not complete")

// Visit is who asked for an address.
type Visit struct {
	UserAgent string // as it came
	IP        string // "" when it is not known
}

// Opened takes the request for a picture. It is recorded if that can be; without a visit it is not. The error is ErrUnknown.
func (s *Service) Opened(ctx context.Context, token string, v *Visit) error {
	c, err := s.read(token, open)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if v != nil {
		s.note(ctx, c, event.Opened, v)
	}
	return nil
}

// Clicked takes the request for a link and returns where it leads, as Opened. The target is that of the message, and an absolute
// address of the web.
func (s *Service) Clicked(ctx context.Context, token string, v *Visit) (target string, err error) {
	c, err := s.read(token, click)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if v != nil {
		s.note(ctx, c, event.Clicked, v)
	}
	return c.url, nil
}

// note records an open or a click. The answer does not depend on it: a record that is missing is not worth a broken link.
func (s *Service) note(ctx context.Context, c *claim, kind event.Kind, v *Visit) {
	if !s.pace.take(c.message, s.Now()) {
		s.Log.Debug("too many opens and clicks of a message in a minute; not recorded", "message", c.message.String())
		return
	}
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	default:
		s.lose(c, kind, errors.New("too many opens and clicks wait for the store"))
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFor) // who has gone has opened it all the same
	defer cancel()
	if err := s.record(ctx, c, kind, v); err != nil {
		s.lose(c, kind, err)
	}
}

// lose counts what is not recorded, and tells of it now and then.
func (s *Service) lose(c *claim, kind event.Kind, err error) {
	n := s.lost.Add(1)
	now := s.Now().Unix()
	if last := s.told.Load(); now-last >= int64(tellEvery/time.Second) && s.told.CompareAndSwap(last, now) {
		typ, _ := event.TypeOf(c.family, kind)
		s.Log.Error("an open or click could not be recorded", "type", int(typ), "message", c.message.String(), "sinceStart", n, "error", err)
	}
}

// tellEvery is how often lost opens and clicks are told of: there may be many while the store is away.
const tellEvery = 10 * time.Second

// Subscription is what somebody is about to end.
type Subscription struct {
	From  string // who sends
	To    string // who gets no mail any more
	Ended bool   // it has ended
}

// Subscription says what an address would end. The error is ErrUnknown, or wraps store.ErrUnavailable.
func (s *Service) Subscription(ctx context.Context, token string) (Subscription, error) {
	return s.leaving(ctx, token, nil)
}

// Unsubscribed suppresses a message's recipient in its sub-account, and returns when that is durable. One that is unsubscribed already
// stays so, without another event. The error is ErrUnknown, or wraps store.ErrUnavailable.
func (s *Service) Unsubscribed(ctx context.Context, token string, v *Visit) (Subscription, error) {
	return s.leaving(ctx, token, v)
}

// leaving is Subscription without a visit, and Unsubscribed with one.
func (s *Service) leaving(ctx context.Context, token string, v *Visit) (Subscription, error) {
	c, err := s.read(token, unsubscribe)
	if err != nil {
		return Subscription{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmFor) // who has gone has said it all the same
	defer cancel()
	select {
	case s.doors <- struct{}{}:
		defer func() { <-s.doors }()
	case <-ctx.Done():
		return Subscription{}, fmt.Errorf("unsubscribe: %w: too many at a time", store.ErrUnavailable)
	}
	sub, err := s.subscription(ctx, c)
	if err == nil && !sub.Ended && v != nil {
		if err = s.record(ctx, c, event.Unsubscribed, v); err == nil {
			sub.Ended = true
		}
	}
	if err != nil && !errors.Is(err, ErrUnknown) { // whatever it is: the recipient has to try again, or believes that it worked
		s.Log.Error("an unsubscription failed; its recipient is told to try again", "message", c.message.String(), "error", err)
		err = fmt.Errorf("unsubscribe: %w: %w", store.ErrUnavailable, err)
	}
	return sub, err
}

// subscription looks who the recipient is, and whether there is nothing left to end.
func (s *Service) subscription(ctx context.Context, c *claim) (Subscription, error) {
	// The first event of a message is about its own recipient, and there as long as the message.
	list, err := s.Store.Events(ctx, store.EventFilter{AccountID: c.accountID, MessageID: c.message, Limit: 1})
	if err != nil {
		return Subscription{}, err
	}
	if len(list) == 0 {
		return Subscription{}, fmt.Errorf("%w: there is no such message", ErrUnknown)
	}
	key := store.SuppressionKey{SubAccountID: list[0].SubAccountID, Email: strings.ToLower(list[0].Recipient)}
	held, err := s.Store.Suppressed(ctx, []store.SuppressionKey{key})
	if err != nil {
		return Subscription{}, err
	}
	hit, found := held[key]
	return Subscription{From: list[0].From.Email, To: list[0].Recipient,
		Ended: found && (hit.Reason == provider.Unsubscribed || hit.Reason == provider.SpamComplaint)}, nil
}

// record makes an event durable. The same recipient's next one in the same second with the same program is a copy.
func (s *Service) record(ctx context.Context, c *claim, kind event.Kind, v *Visit) error {
	typ, _ := event.TypeOf(c.family, kind)
	sent, _ := event.TypeOf(c.family, event.Sent)
	now, agent := s.Now(), provider.Clean(v.UserAgent, maxAgent)
	report := provider.Report{Kind: kind, Type: typ, MessageID: c.message, TPSPID: int32(c.egress), OccurredAt: now, Tracked: true,
		Identity: identity(kind, now, agent, c.url), Detail: detailOf(agent, v.IP, c.url)}
	if kind == event.Unsubscribed {
		report.Suppresses, report.Reason = true, provider.Unsubscribed
	}
	err := s.fresh.Do(ctx, store.Parsed{Receipt: store.Receipt{AccountID: c.accountID, TPSPID: int32(c.egress), ReceivedAt: now},
		Reports: []provider.Report{report}, Sent: sent, Now: now})
	if errors.Is(err, groupcommit.ErrClosed) {
		return fmt.Errorf("%w: stopping", store.ErrUnavailable)
	}
	return err
}

func identity(kind event.Kind, at time.Time, agent, target string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(int(kind)) + " " + strconv.FormatInt(at.Unix(), 10) + "\n" + agent + "\n" + target))
	return "track:" + hex.EncodeToString(sum[:16])
}
