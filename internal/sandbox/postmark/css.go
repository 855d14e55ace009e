package postmark

import (
	"cmp"
	"slices"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxInlining bounds the work for one message: how often a selector is tried on an element. Beyond it, or when the message would become too
// large, it stays as it is.
const maxInlining = 2_000_000

// rule is a selector of a style sheet with what it says.
type rule struct {
	selector cascadia.Sel
	says     []declaration
	order    int
}

type declaration struct {
	property, value string
	important       bool
}

// inlineCSS moves the rules of style elements into the style attributes of what they select, as mail readers need it. The style elements
// stay: they hold what has no place in an attribute, such as media queries. What cannot be read is left as it is.
func inlineCSS(source string) string {
	if !strings.Contains(source, "<style") && !strings.Contains(source, "<STYLE") {
		return source
	}
	roots, err := parseHTML(source)
	if err != nil {
		return source
	}
	var rules []rule
	var elements []*html.Node
	for _, root := range roots {
		walkHTML(root, func(n *html.Node) {
			elements = append(elements, n)
			if n.DataAtom == atom.Style && n.FirstChild != nil {
				rules = readRules(rules, n.FirstChild.Data)
			}
		})
	}
	if len(rules)*len(elements) > maxInlining {
		return source
	}
	size := len(source)
	for _, n := range elements {
		if size += inline(n, rules); size > maxMessage {
			return source
		}
	}
	var out strings.Builder
	for _, root := range roots {
		if html.Render(&out, root) != nil {
			return source
		}
	}
	return out.String()
}

// parseHTML reads a document, or, when there is no sign of a whole one, a part of a body.
func parseHTML(source string) ([]*html.Node, error) {
	lower := strings.ToLower(source)
	for _, sign := range []string{"<!doctype", "<html", "<head", "<body"} {
		if strings.Contains(lower, sign) {
			root, err := html.Parse(strings.NewReader(source))
			return []*html.Node{root}, err
		}
	}
	return html.ParseFragment(strings.NewReader(source), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
}

// walkHTML sees the element and all below it. The parser has bounded the depth.
func walkHTML(n *html.Node, see func(*html.Node)) {
	if n.Type == html.ElementNode {
		see(n)
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		walkHTML(child, see)
	}
}

// readRules adds the rules of a sheet. At-rules are passed over, with their blocks.
func readRules(rules []rule, sheet string) []rule {
	sheet = withoutComments(sheet)
	for sheet != "" {
		open := strings.IndexAny(sheet, "{;")
		if open < 0 {
			break
		}
		head := strings.TrimSpace(sheet[:open])
		if sheet[open] == ';' { // such as of @import
			sheet = sheet[open+1:]
			continue
		}
		end := blockEnd(sheet, open)
		body := sheet[open+1 : end]
		sheet = sheet[min(end+1, len(sheet)):]
		if head == "" || head[0] == '@' {
			continue
		}
		group, err := cascadia.ParseGroup(head)
		if err != nil {
			continue
		}
		says := readDeclarations(body)
		for _, selector := range group {
			if selector.PseudoElement() == "" {
				rules = append(rules, rule{selector, says, len(rules)})
			}
		}
	}
	return rules
}

// blockEnd is where the block ends that opens at an index: at its own bracket, or at the end.
func blockEnd(sheet string, open int) int {
	depth := 0
	for i := open; i < len(sheet); i++ {
		switch sheet[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(sheet)
}

func withoutComments(sheet string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(sheet, "/*")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, sheet, _ = strings.Cut(rest, "*/")
	}
}

// readDeclarations cuts declarations at semicolons outside quotes and brackets.
func readDeclarations(text string) (list []declaration) {
	add := func(one string) {
		property, value, found := strings.Cut(one, ":")
		property, value = strings.ToLower(strings.TrimSpace(property)), strings.TrimSpace(value)
		important := false
		if at := strings.LastIndexByte(value, '!'); at >= 0 && strings.EqualFold(strings.TrimSpace(value[at+1:]), "important") {
			value, important = strings.TrimSpace(value[:at]), true
		}
		if found && property != "" && value != "" {
			list = append(list, declaration{property, value, important})
		}
	}
	quote, depth, start := byte(0), 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ';' && depth <= 0:
			add(text[start:i])
			start = i + 1
		}
	}
	add(text[start:])
	return list
}

// inline gives an element what the rules say about it, and returns the length of that. The more specific rule wins, then the later one; the element's own style wins over
// all but what is important.
func inline(n *html.Node, rules []rule) int {
	var matching []rule
	for _, r := range rules {
		if r.selector.Match(n) {
			matching = append(matching, r)
		}
	}
	slices.SortStableFunc(matching, func(a, b rule) int {
		switch {
		case a.selector.Specificity().Less(b.selector.Specificity()):
			return -1
		case b.selector.Specificity().Less(a.selector.Specificity()):
			return 1
		}
		return cmp.Compare(a.order, b.order)
	})
	var said []declaration
	for _, r := range matching {
		said = append(said, r.says...)
	}
	if len(said) == 0 {
		return 0
	}
	at := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Namespace == "" && a.Key == "style" })
	if at >= 0 {
		said = append(said, readDeclarations(n.Attr[at].Val)...)
	} else {
		n.Attr, at = append(n.Attr, html.Attribute{Key: "style"}), len(n.Attr)
	}
	n.Attr[at].Val = style(said)
	return len(n.Attr[at].Val)
}

// style writes declarations, the last of each property unless an earlier one is important, in the order in which properties came up.
func style(said []declaration) string {
	var kept []declaration
	for _, d := range said {
		at := slices.IndexFunc(kept, func(old declaration) bool { return old.property == d.property })
		switch {
		case at < 0:
			kept = append(kept, d)
		case d.important || !kept[at].important:
			kept[at] = d
		}
	}
	texts := make([]string, len(kept))
	for i, d := range kept {
		texts[i] = d.property + ": " + d.value
	}
	return strings.Join(texts, "; ")
}
