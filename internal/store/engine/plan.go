package engine

import (
	"encoding/json"
	"fmt"
	"strconv"

	"postyard/internal/quickjson"
	"postyard/internal/route"
)

// EncodePlan returns the stored form of a plan.
func EncodePlan(p *route.Plan) ([]byte, error) {
	if len(p.Skipped) > 0 {
		b, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encode plan: %w", err)
		}
		return b, nil
	}
	b := append(make([]byte, 0, 64+8*len(p.Egresses)+len(p.Rule)), '{')
	b = append(quickjson.AppendKey(b, "egresses"), '[')
	for i, e := range p.Egresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(e), 10)
	}
	b = append(b, ']')
	if p.Overflow != 0 {
		b = strconv.AppendInt(quickjson.AppendKey(b, "overflow"), int64(p.Overflow), 10)
	}
	return append(quickjson.AppendField(b, "rule", p.Rule), '}'), nil
}

var planKeys = []string{"egresses", "overflow", "rule"}

// DecodePlan reads the stored form of a plan.
func DecodePlan(text []byte, p *route.Plan) error {
	*p = route.Plan{}
	r := quickjson.New(text)
	good := true
	number := func() int {
		n, err := strconv.ParseInt(string(r.Raw()), 10, 32)
		good = good && err == nil
		return int(n)
	}
	r.Object(planKeys, func(i int) {
		switch planKeys[i] {
		case "egresses":
			quickjson.List(r, &p.Egresses, func(e *route.Egress) { *e = route.Egress(number()) })
		case "overflow":
			p.Overflow = number()
		case "rule":
			r.String(&p.Rule)
		}
	})
	if r.Done() && good {
		return nil
	}
	*p = route.Plan{}
	if err := json.Unmarshal(text, p); err != nil {
		return fmt.Errorf("decode plan: %w", err)
	}
	return nil
}

// FirstChoice reads the first egress of the stored form of a plan; of no plan it is 0.
func FirstChoice(text []byte) (route.Egress, error) {
	if len(text) == 0 {
		return 0, nil
	}
	var p route.Plan
	err := DecodePlan(text, &p)
	return p.First(), err
}
