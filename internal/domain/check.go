package domain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"postyard/internal/directory"
	"postyard/internal/dns"
	"postyard/internal/provider"
	"postyard/internal/store"
)

const (
	lookFor    = 15 * time.Second // the longest that DNS is asked about one record
	askAtOnce  = 16               // domains that are looked at because users want it
	maxAliases = 8                // one after another
	maxLabels  = 8                // parents in which a policy of DMARC is looked for
	maxReason  = 512              // bytes

	firstCheck = time.Minute // after one that found something missing; doubled with each one in a row that finds the same
	mostCheck  = 24 * time.Hour
)

// Reasons of records that nobody has looked at.
const (
	notYet  = "DNS has not been asked yet"
	dnsOff  = "not looked at: this server does not ask DNS (option dns)"
	noName  = "not possible: this server has no name in DNS that the record could point to (option mail-host)"
	noKey   = "the domain's key is being made"
	records = 5
)

// Checks returns what is known of a domain's records, with a reason for each that is not verified.
func (s *Service) Checks(d *directory.Domain) directory.DomainChecks {
	c := d.Checks
	for _, r := range each(&c) {
		switch {
		case r.Verified || r.Reason != "":
		case s.Resolver == nil:
			r.Reason = dnsOff
		default:
			r.Reason = notYet
		}
	}
	return c
}

func each(c *directory.DomainChecks) [records]*directory.RecordCheck {
	return [...]*directory.RecordCheck{&c.DKIM, &c.SPF, &c.ReturnPath, &c.Track, &c.DMARC}
}

// Verify asks DNS about one of the sub-account's domains now, and returns it with what came of it. It fails with ErrNotFound.
func (s *Service) Verify(ctx context.Context, sub *directory.SubAccount, id int32) (*directory.Domain, error) {
	d, err := s.Domain(sub, id)
	if err != nil || s.Resolver == nil {
		return d, err
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d, err = s.keyed(ctx, d); err != nil {
		return nil, err
	}
	if _, err = s.check(ctx, d, 0); err == nil {
		err = s.Directory.Reload(ctx) // also when nothing changed: a check that began later may have been quicker
	}
	if err != nil {
		return nil, err
	}
	return s.Domain(sub, id)
}

// keyed returns a domain with a key: those from before there were keys get one now.
func (s *Service) keyed(ctx context.Context, d *directory.Domain) (*directory.Domain, error) {
	if d.Selector != "" {
		return d, nil
	}
	given := *d
	sealed, err := s.makeKey(ctx, &given)
	if err == nil {
		err = s.Store.GiveDomainKey(ctx, &given, sealed)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) { // another one was quicker
		return nil, fmt.Errorf("give domain %q a key: %w", d.Name, err)
	}
	if err := s.Directory.Reload(ctx); err != nil {
		return nil, err
	}
	if now := s.Directory.Current().Domain(d.SubAccountID, d.ID); now != nil {
		return now, nil
	}
	return d, nil
}

// check asks DNS about a domain and records what it says. tries is how many checks in a row found nothing new.
func (s *Service) check(ctx context.Context, d *directory.Domain, tries int) (changed bool, err error) {
	began := s.Now().UTC()
	checks := s.look(ctx, d)
	if ctx.Err() != nil {
		return false, ctx.Err() // it was cut off: that says nothing of DNS
	}
	if checks != d.Checks {
		tries = 0
	}
	now := s.Now().UTC()
	changed, err = s.Store.RecordDomainCheck(ctx, store.DomainCheck{ID: d.ID, Checks: checks, Began: began,
		Next: now.Add(s.pause(&checks, tries)), Tries: tries + 1})
	if err != nil {
		return false, fmt.Errorf("record check of domain %q: %w", d.Name, err)
	}
	if changed {
		s.Log.Info("DNS says something else about a domain", "domain", d.Name, "id", d.ID, "dkim", checks.DKIM.Verified, "spf", checks.SPF.Verified,
			"returnPath", checks.ReturnPath.Verified, "track", checks.Track.Verified, "dmarc", checks.DMARC.Verified)
	}
	return changed, nil
}

// pause is how long DNS is not asked again by itself.
func (s *Service) pause(c *directory.DomainChecks, tries int) time.Duration {
	wait := mostCheck
	for _, r := range each(c) {
		if !r.Verified || r.Reason != "" {
			wait = min(firstCheck<<min(tries, 20), mostCheck)
		}
	}
	return time.Duration(float64(wait) * (0.875 + 0.25*s.Jitter()))
}

// look asks DNS about all records of a domain at once.
func (s *Service) look(ctx context.Context, d *directory.Domain) directory.DomainChecks {
	c := d.Checks
	r := s.Records(d)
	var asking sync.WaitGroup
	ask := func(check *directory.RecordCheck, find func(context.Context) (string, error)) {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookFor)
			defer cancel()
			reason, err := find(ctx)
			if err == nil {
				check.Verified, check.Reason = reason == "", provider.Clean(reason, maxReason)
				return
			}
			state := "it was not verified before"
			if check.Verified {
				state = "it was verified before, and counts as such"
			}
			check.Reason = provider.Clean(fmt.Sprintf("DNS could not be asked: %s; %s", err, state), maxReason)
		})
	}
	alias := func(check *directory.RecordCheck, record Record) {
		ask(check, func(ctx context.Context) (string, error) { return s.aliasFault(ctx, record) })
	}
	ask(&c.DKIM, func(ctx context.Context) (string, error) { return s.keyFault(ctx, d, r.DKIM) })
	alias(&c.SPF, r.SPF)
	alias(&c.ReturnPath, r.ReturnPath)
	alias(&c.Track, r.Track)
	ask(&c.DMARC, func(ctx context.Context) (string, error) { return s.policyFault(ctx, d.Name) })
	asking.Wait()
	return c
}

// absent says what DNS does not have, and nil; or returns an error that says nothing of what it has.
func absent(err error, host, kind string) (string, error) {
	switch {
	case errors.Is(err, dns.ErrNoName):
		return fmt.Sprintf("%s does not exist in DNS: it has no %s record", host, kind), nil
	case errors.Is(err, dns.ErrNoRecord):
		return fmt.Sprintf("%s has no %s record", host, kind), nil
	}
	return "", err
}

// keyFault says why a domain's key does not stand in DNS as it should, "" when it does. With an error, DNS did not answer.
func (s *Service) keyFault(ctx context.Context, d *directory.Domain, r Record) (string, error) {
	if d.Selector == "" {
		return noKey, nil
	}
	texts, err := s.Resolver.TXT(ctx, r.Host)
	if err != nil {
		return absent(err, r.Host, r.Type)
	}
	if fault := dkimFault(texts, d.PublicKey); fault != "" {
		return r.Host + ": " + fault, nil
	}
	return "", nil
}

// aliasFault is keyFault for a record that points to us, by way of others or not.
func (s *Service) aliasFault(ctx context.Context, r Record) (string, error) {
	if r.Value == "" {
		return noName, nil
	}
	at := r.Host
	for hop := range maxAliases {
		next, err := s.Resolver.CNAME(ctx, at)
		if err != nil {
			if hop == 0 {
				return absent(err, r.Host, r.Type)
			}
			if _, err := absent(err, at, r.Type); err != nil {
				return "", err
			}
			return fmt.Sprintf("%s is an alias of %s, and not of %s", r.Host, at, r.Value), nil
		}
		if strings.EqualFold(next, r.Value) {
			return "", nil
		}
		at = next
	}
	return fmt.Sprintf("%s does not lead to %s within %d aliases", r.Host, r.Value, maxAliases), nil
}

// policyFault is keyFault for the policy of DMARC: the domain's own, or that of a domain above it.
func (s *Service) policyFault(ctx context.Context, name string) (string, error) {
	missing := ""
	for range maxLabels {
		host := "_dmarc." + name
		texts, err := s.Resolver.TXT(ctx, host)
		reason := fmt.Sprintf("%s has no TXT record that begins with v=DMARC1", host)
		if err != nil {
			if reason, err = absent(err, host, "TXT"); err != nil {
				return "", err
			}
		}
		if policies := dmarcPolicies(texts); len(policies) > 0 {
			if fault := dmarcFault(policies); fault != "" {
				return host + ": " + fault, nil
			}
			return "", nil
		}
		if missing == "" {
			missing = reason
		}
		_, above, _ := strings.Cut(name, ".")
		if !strings.Contains(above, ".") {
			break
		}
		name = above
	}
	return missing, nil
}
