package api

import (
	"net/http"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// kindAnswer is a kind of provider that can be connected.
type kindAnswer struct {
	Type        int           `json:"type"`
	Name        string        `json:"name"`        // in URLs and filters: postmark
	Title       string        `json:"title"`       // for people: Postmark
	Fields      []fieldAnswer `json:"fields"`      // what a connection holds, in the order in which people fill it in
	Streams     bool          `json:"streams"`     // a connection is to one message stream, which is chosen from those that its key opens
	Templates   bool          `json:"templates"`   // it holds templates, and renders them
	AllowRaw    bool          `json:"allowRaw"`    // messages without a template are carried only where allowRaw is set
	Reports     bool          `json:"reports"`     // it reports events by webhook
	Recalls     bool          `json:"recalls"`     // missed events can be read back
	Suppresses  bool          `json:"suppresses"`  // its suppression list can be kept in step
	RatePerHour int           `json:"ratePerHour"` // the limit of a new connection for which none is given; 0: none
}

// fieldAnswer is one field of a connection, by its name in the body that adds a provider.
type fieldAnswer struct {
	Name     string `json:"name"`
	Holds    string `json:"holds"`
	Required bool   `json:"required"`
}

// listKinds lists the kinds of providers by their numbers.
func (s *server) listKinds(w http.ResponseWriter, _ *http.Request, _ *directory.Account) error {
	answers := []kindAnswer{}
	for _, a := range s.Kinds.All() {
		p, can := a.Profile(), a.Capabilities()
		_, suppresses := a.(provider.Suppressor)
		kind := kindAnswer{Type: int(p.Type), Name: p.Name, Title: p.Title, Fields: make([]fieldAnswer, len(p.Fields)), Streams: can.Streams,
			Templates: can.Templates, AllowRaw: can.Reluctant, Reports: !can.Silent, Recalls: can.Recalls, Suppresses: suppresses, RatePerHour: can.PerHour}
		for i, f := range p.Fields {
			kind.Fields[i] = fieldAnswer{f.Name, f.Holds, f.Required}
		}
		answers = append(answers, kind)
	}
	return reply(w, http.StatusOK, answers)
}
