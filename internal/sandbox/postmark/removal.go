package postmark

import "time"

// removal is a request to remove what is kept about a recipient. The sandbox keeps it and removes nothing.
type removal struct {
	ID        int
	For       string
	CreatedAt time.Time
}

func (r *removal) number() int { return r.ID }

// removalTime is how long a request is pending.
const removalTime = time.Minute

type removalBody struct {
	ID     int
	Status string
}

func (r *removal) body(now time.Time) removalBody {
	if now.Sub(r.CreatedAt) < removalTime {
		return removalBody{r.ID, "Pending"}
	}
	return removalBody{r.ID, "Done"}
}

type removalRequest struct {
	RequestedBy         string
	RequestedFor        string
	NotifyWhenCompleted bool
}

// createRemoval takes a request in. Which of the three ErrorCodes means what is not documented.
func (s *Simulator) createRemoval(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeNoRemovalData, "No data removal request received.")
	}
	var r removalRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	for _, field := range []struct{ name, address string }{{"RequestedBy", r.RequestedBy}, {"RequestedFor", r.RequestedFor}} {
		if checkAddress(field.name, field.address) != nil {
			return nil, fail(codeRemovalBad, "The '%s' address is not valid: '%s'.", field.name, field.address)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &removal{ID: s.account.last + 1, For: r.RequestedFor, CreatedAt: s.clock.Now()}
	if err := s.keepOfAccount(kindRemoval, one.ID, one); err != nil {
		return nil, err
	}
	s.account.last = one.ID
	s.account.removals = with(s.account.removals, one)
	return one.body(s.clock.Now()), nil
}

func (s *Simulator) getRemoval(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	one := byNumber(s.account.removals, c.args[0])
	if one == nil {
		return nil, fail(codeNoRemoval, "The data removal request was not found.")
	}
	return one.body(s.clock.Now()), nil
}
