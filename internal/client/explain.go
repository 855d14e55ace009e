package client

// Explanation tells where a message stands, and why.
type Explanation struct {
	State    string    `json:"state"`
	Waiting  string    `json:"waiting"` // while pending: why
	DueAt    int64     `json:"dueAt"`   // while pending: until when (ns)
	Mark     string    `json:"mark"`
	Plan     Plan      `json:"plan"`
	Attempts []Attempt `json:"attempts"`
}

// Plan is the route of a message.
type Plan struct {
	Rule     string   `json:"rule"`
	Egresses []string `json:"egresses"` // in the order in which they are tried
	Skipped  []struct {
		Egress string `json:"egress"`
		Reason string `json:"reason"`
	} `json:"skipped"`
}

// Attempt is one call to a provider for one message.
type Attempt struct {
	N          int    `json:"n"`
	Egress     string `json:"egress"`
	Provider   string `json:"provider"`
	Began      int64  `json:"began"`    // ns
	Finished   int64  `json:"finished"` // ns, 0 while the call is open
	DurationMs int64  `json:"durationMs"`
	Class      string `json:"class"`
	HTTPStatus int    `json:"httpStatus"`
	Code       string `json:"code"`
	Text       string `json:"text"`
	Answer     string `json:"answer"`    // what the provider said when it was asked about it
	TakenBack  string `json:"takenBack"` // what it said when it took the message back after accepting it, "" when it did not
}
