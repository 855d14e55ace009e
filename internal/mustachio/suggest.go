package mustachio

// Suggest infers a model that fills every place of the templates, as Postmark's "SuggestedTemplateModel": a value becomes
// "<key>_Value", a section an object, a loop a list of one object, a loop that prints its items three strings.
func Suggest(templates ...*Template) map[string]any {
	root := &hint{}
	for _, t := range templates {
		if t != nil {
			root.learn(t.nodes)
		}
	}
	if model, ok := root.value().(map[string]any); ok {
		return model
	}
	return map[string]any{}
}

// hint collects how one place of the model is used.
type hint struct {
	key    string
	parent *hint
	fields map[string]*hint
	item   *hint
	list   bool
}

func (h *hint) at(p path) *hint {
	for _, segment := range p {
		if segment == up {
			if h.parent != nil {
				h = h.parent
			}
			continue
		}
		next := h.fields[segment]
		if next == nil {
			next = &hint{key: segment, parent: h}
			if h.fields == nil {
				h.fields = map[string]*hint{}
			}
			h.fields[segment] = next
		}
		h = next
	}
	return h
}

func (h *hint) learn(nodes []node) {
	for i := range nodes {
		n := &nodes[i]
		switch n.kind {
		case tokenEscaped, tokenRaw:
			h.at(n.path)
		case tokenOpen, tokenInverted:
			h.at(n.path).learn(n.children)
		case tokenIf, tokenUnless:
			h.at(n.path)
			h.learn(n.children)
		case tokenEach:
			place := h.at(n.path)
			place.list = true
			if place.item == nil {
				place.item = &hint{parent: place, key: place.key}
			}
			place.item.learn(n.children)
		}
	}
}

func (h *hint) value() any {
	switch {
	case h.list && h.item != nil && len(h.item.fields) == 0 && !h.item.list:
		return []any{h.key + "_1", h.key + "_2", h.key + "_3"}
	case h.list:
		return []any{h.item.value()}
	case len(h.fields) > 0:
		model := make(map[string]any, len(h.fields))
		for key, field := range h.fields {
			model[key] = field.value()
		}
		return model
	default:
		return h.key + "_Value"
	}
}
