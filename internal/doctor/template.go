package doctor

import (
	"context"
	"fmt"
	"strings"

	"postyard/internal/provider"
	"postyard/internal/template"
)

// template checks that messages may name the template that was asked about; without one, that all that are mirrored can be rendered.
func (p *patient) template(ctx context.Context, inspector provider.Inspector, conn provider.Connection, works bool) Check {
	sync := fmt.Sprintf("postyard templates sync --tpsp %d", p.t.ID)
	if p.Template == "" {
		return p.mirror(sync)
	}
	if !works {
		return p.check(Template, Warn, "not looked at: the token does not work", "repair that first")
	}
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	standing, err := inspector.InspectTemplate(ctx, conn, p.Template)
	if err != nil {
		return p.check(Template, Warn, "not looked at: "+words(ctx, err), fmt.Sprintf("postyard doctor --tpsp %d --template %s once more", p.t.ID, word(p.Template)))
	}
	switch standing {
	case provider.TemplateReady:
		mirrored, fault := p.mirrored(p.t.ID)
		switch {
		case !mirrored:
			return p.check(Template, Warn, fmt.Sprintf("the provider has %q, and it was not read yet: other providers cannot be given it", p.Template), sync)
		case fault != "":
			return p.check(Template, Warn, fmt.Sprintf("the provider has %q, but other providers cannot be given it: %s", p.Template, fault),
				"change the template there, then "+sync)
		}
		return p.check(Template, OK, fmt.Sprintf("the provider has %q, and other providers can be given it", p.Template), "")
	case provider.TemplateLayout:
		return p.check(Template, Fail, fmt.Sprintf("%q is a layout, which cannot be sent by itself", p.Template), "name a template that uses it")
	case provider.TemplateInactive:
		return p.rendered("the provider has it, but it is not active")
	default:
		return p.rendered("the provider has none with this alias")
	}
}

// mirror tells what of the provider's templates other providers cannot be given.
func (p *patient) mirror(sync string) Check {
	var n int
	var faults []string
	for _, m := range p.Templates.List(p.accountID) {
		if m.TPSPID != p.t.ID {
			continue
		}
		if n++; m.Fault != "" {
			faults = append(faults, fmt.Sprintf("%q (%s)", m.Alias, m.Fault))
		}
	}
	if n == 0 {
		return p.check(Template, OK, "the provider has no template that messages may name, or none was read yet", "")
	}
	if len(faults) == 0 {
		return p.check(Template, OK, fmt.Sprintf("what was read of its templates and layouts (%d) can be given to other providers", n), "")
	}
	const most = 5
	shown := strings.Join(faults[:min(len(faults), most)], ", ")
	return p.check(Template, Warn, fmt.Sprintf("%d of the %d templates and layouts that were read cannot be given to other providers: %s", len(faults), n, shown),
		"change them at the provider, then "+sync)
}

// mirrored tells whether the template was read from a provider (0: any), and why it cannot be rendered.
func (p *patient) mirrored(tpspID int32) (found bool, fault string) {
	for _, m := range p.Templates.List(p.accountID) {
		if m.Layout || !strings.EqualFold(m.Alias, p.Template) || tpspID != 0 && m.TPSPID != tpspID {
			continue
		}
		if found, fault = true, m.Fault; fault == "" {
			return true, ""
		}
	}
	return found, fault
}

// rendered checks that a provider that lacks the template can be given it in full, because another one has it.
func (p *patient) rendered(lack string) Check {
	from := ""
	var faults []string
	for _, m := range p.Templates.List(p.accountID) {
		if m.Layout || !strings.EqualFold(m.Alias, p.Template) || m.TPSPID == p.t.ID {
			continue
		}
		if m.Fault == "" {
			from = nameOf(m)
			break
		}
		faults = append(faults, fmt.Sprintf("that of %s cannot be rendered here: %s", nameOf(m), m.Fault))
	}
	if from != "" {
		return p.check(Template, OK, fmt.Sprintf("%s; it is given what %q of %s looks like", lack, p.Template, from), "")
	}
	fix := fmt.Sprintf("make a template with the alias %q at a provider that has templates, then postyard templates sync", p.Template)
	return p.check(Template, Fail, strings.Join(append([]string{fmt.Sprintf("template %q: %s, and no other has it", p.Template, lack)}, faults...), "; "), fix)
}

func nameOf(m template.Listed) string { return fmt.Sprintf("%q (%d)", m.TPSP.Name, m.TPSPID) }
