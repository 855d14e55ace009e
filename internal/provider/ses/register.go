package ses

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postyard/internal/provider"
)

// How long Register waits for SNS to reach us and for our confirmation to count, and how often it looks.
const (
	patience  = 10 * time.Second
	reserve   = 2 * time.Second // of the context's time, for what is left to do
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
)

// registration is one Register under way.
type registration struct {
	*Adapter
	target *target
	hook   provider.Hook
	name   string // of the topic and of the event destination

	set    bool         // the configuration set is there
	events *destination // ours; nil when there is none
	topic  string       // the ARN of ours; "" when there is none
	signs  bool         // the topic signs as we ask for
	own    *subscription
	stale  []subscription // to where our URL was before
	broken bool           // ours does not get everything
}

// Register implements provider.Adapter: it looks at the configuration set, our event destination, our topic and our subscription, and makes
// or repairs what is not as it should be. The ref is the topic's ARN. Its errors are *provider.SetupError.
func (a *Adapter) Register(ctx context.Context, conn provider.Connection, hook provider.Hook) (ref string, changed bool, err error) {
	t, bad := parse(conn)
	if bad != nil {
		return "", false, badSetting(bad)
	}
	r := &registration{Adapter: a, target: t, hook: hook, name: topicName(hook.Credentials.Username)}
	if err := r.look(ctx); err != nil {
		return "", false, setupError(err)
	}
	if r.right() {
		return r.topic, false, nil
	}
	if hook.Broken != nil {
		if err := hook.Broken(); err != nil {
			return "", false, err
		}
	}
	if err := r.repair(ctx); err != nil {
		if _, ours := errors.AsType[*keepError](err); ours {
			return "", true, err
		}
		if _, set := errors.AsType[*provider.SetupError](err); !set {
			return "", true, setupError(err)
		}
		return r.topic, true, err
	}
	return r.topic, true, nil
}

// keepError is that of Hook.Keep, which is not the provider's.
type keepError struct{ cause error }

// Error implements error.
func (e *keepError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *keepError) Unwrap() error { return e.cause }

// look reads how everything stands, and changes nothing.
func (r *registration) look(ctx context.Context) (err error) {
	if r.events, r.set, err = r.findDestination(ctx, r.target, r.name); err != nil {
		return err
	}
	if !named(r.hook.Ref, r.target.region, r.name) { // of another region, or of a hook before this one
		return nil
	}
	err = r.lookAtTopic(ctx, r.hook.Ref)
	if gone(err) || denied(err) { // a topic of another account is denied as well; what is missing shows when ours is made
		return nil
	}
	return err
}

// lookAtTopic reads how a topic of ours and its subscriptions stand.
func (r *registration) lookAtTopic(ctx context.Context, arn string) (err error) {
	if r.signs, err = r.topicSigns(ctx, r.target, arn); err != nil {
		return err
	}
	r.topic = arn
	return r.lookAtSubscriptions(ctx)
}

func (r *registration) lookAtSubscriptions(ctx context.Context) error {
	list, err := r.subscriptions(ctx, r.target, r.topic)
	if err != nil {
		return err
	}
	r.own, r.stale, r.broken = nil, nil, false
	for i := range list {
		switch s := &list[i]; {
		case s.is(r.hook.URL) && (r.own == nil || !r.own.confirmed()):
			r.own = s
		case s.was(r.hook.URL) && s.confirmed():
			r.stale = append(r.stale, *s)
		}
	}
	if r.confirmed() {
		whole, err := r.delivers(ctx, r.target, r.own.ARN)
		if err != nil {
			return err
		}
		r.broken = !whole
	}
	return nil
}

func (r *registration) confirmed() bool { return r.own != nil && r.own.confirmed() }

// right tells whether nothing has to change.
func (r *registration) right() bool {
	return r.set && r.events.asWanted(r.topic) && r.topic != "" && r.signs && r.confirmed() && !r.broken && len(r.stale) == 0
}

// repair makes what is missing and changes what is wrong. The configuration set comes first, because no message leaves without it; and
// before SNS calls our URL, everything else is as it should be.
func (r *registration) repair(ctx context.Context) error {
	if !r.set {
		if err := r.makeSet(ctx, r.target); err != nil {
			return err
		}
	}
	if r.topic == "" {
		arn, err := r.createTopic(ctx, r.target, r.name)
		if err != nil {
			return err
		}
		if err := r.lookAtTopic(ctx, arn); err != nil {
			return err
		}
	}
	if r.hook.Keep != nil && r.topic != r.hook.Ref {
		if err := r.hook.Keep(r.topic); err != nil {
			return &keepError{err}
		}
	}
	if !r.signs {
		if err := r.haveTopicSign(ctx, r.target, r.topic); err != nil {
			return err
		}
	}
	if !r.events.asWanted(r.topic) {
		if err := r.saveDestination(ctx, r.target, r.name, r.topic, r.events != nil); err != nil {
			return err
		}
	}
	return r.repairSubscriptions(ctx)
}

func (r *registration) repairSubscriptions(ctx context.Context) error {
	remove := r.stale
	if r.broken { // a new one begins with the settings that are right
		remove, r.own = append(slices.Clone(remove), *r.own), nil
	}
	for i := range remove {
		if err := r.unsubscribe(ctx, r.target, remove[i].ARN); err != nil {
			return err
		}
	}
	if r.confirmed() {
		return nil
	}
	// One that waits for confirmation is asked for again: SNS then asks us again.
	if err := r.subscribe(ctx, r.target, r.topic, r.hook.URL); err != nil {
		if refused, ok := errors.AsType[*refusal](err); ok && refused.Kind == "InvalidParameter" {
			return &provider.SetupError{Code: "invalid_webhook_url", Message: "Amazon SNS does not take the webhook's URL, which begins with this " +
				"server's public URL: " + refused.Error()}
		}
		return err
	}
	return r.await(ctx)
}

// await waits until SNS has asked at our URL whether its messages are wanted, and our answer (see Greet) counts.
func (r *registration) await(ctx context.Context) error {
	wait := r.patience
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)-reserve)
	}
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		if err := r.lookAtSubscriptions(ctx); err != nil {
			return err
		}
		if r.confirmed() {
			return nil
		}
		next := time.NewTimer(pause)
		select {
		case <-next.C:
			continue
		case <-ctx.Done():
		case <-timer.C:
		}
		next.Stop()
		return &provider.SetupError{Code: provider.CodeHookUnverified, Retry: true, Message: fmt.Sprintf(
			"Amazon SNS has the subscription, but it is not confirmed yet: it calls %s for that, and sends no events before it got an answer there", r.hook.URL)}
	}
}

// Unregister implements provider.Adapter: our event destination and our topic go, with its subscriptions. The configuration set stays,
// because mail that is on its way still names it, and so may others. Its errors are *provider.SetupError.
func (a *Adapter) Unregister(ctx context.Context, conn provider.Connection, hook provider.Hook) error {
	t, bad := parse(conn)
	if bad != nil {
		return badSetting(bad)
	}
	name := topicName(hook.Credentials.Username)
	topic := hook.Ref
	found, _, err := a.findDestination(ctx, t, name)
	if err != nil {
		return setupError(err)
	}
	if found != nil {
		if topic == "" && found.SnsDestination != nil {
			topic = found.SnsDestination.TopicArn
		}
		if err := a.removeDestination(ctx, t, name); err != nil {
			return setupError(err)
		}
	}
	if !named(topic, t.region, name) {
		return nil // we never had one, or it is not ours
	}
	if err := a.deleteTopic(ctx, t, topic); err != nil {
		return setupError(err)
	}
	return nil
}
