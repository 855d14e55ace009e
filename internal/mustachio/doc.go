// Package mustachio parses and renders Mustachio, the logic-less template language that Postmark uses.
//
// It is not Handlebars and not quite Mustache:
//
//	{{path}}                    value; HTML-escaped when the template was parsed with EscapeHTML
//	{{{path}}}, {{&path}}       value, never escaped
//	{{! text }}                 comment
//	{{#path}}...{{/path}}       once, with the value as scope, if the value exists; never loops
//	{{^path}}...{{/path}}       once, with the (absent) value as scope, if it does not exist
//	{{#each path}}...{{/each}}  once per item of a list
//	{{.}}, {{a.b}}, {{../a}}    the scope itself, a dotted path, one path segment up
//
// A block on the path that is open right now closes it: {{#x}}A{{^x}}B{{/x}} prints A or B. null, false, 0, "", an empty
// list, an empty object and a missing key do not exist.
//
// Postmark publishes its engine (github.com/ActiveCampaign/mustachio); this one behaves like it and shares no code. Templates and
// models are foreign bytes: size, nesting, work and output are capped, and no input makes the package panic. The simulator of
// Postmark and the mirror of its templates share it, so it imports nothing but the standard library.
package mustachio
