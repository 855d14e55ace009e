// Package handlebars parses and renders Handlebars, the template language in which senders personalise subjects and bodies.
//
//	{{path}}                         value; HTML-escaped when the template was parsed with EscapeHTML
//	{{{path}}}, {{&path}}            value, never escaped
//	{{! text }}, {{!-- text --}}     comment
//	\{{path}}                        the text {{path}}
//	{{#if path}}A{{else}}B{{/if}}    also {{else if path}}, {{^}}, and includeZero=true
//	{{#unless path}}A{{/unless}}
//	{{#each path}}...{{/each}}       lists and objects; {{else}} when there is nothing; as |item key|
//	{{#with path}}...{{/with}}       path is the scope; {{else}} when it is empty
//	{{#path}}...{{/path}}            as each for a list, as with for an object, as if for anything else
//	{{^path}}...{{/path}}            when path is empty
//	{{lookup path key}}              a field or an item whose name is a value
//	{{~path~}}                       without the white space beside it
//
// Paths are a.b.c, a/b, ../a, this, list.[0], list.length, @root.a, @index, @key, @first, @last. A path that leads nowhere prints nothing.
// {{.a}}, as templates of Go have it, is {{this.a}}. Tags of blocks that stand alone on a line take the line with them. Numbers, lists
// and booleans print as JavaScript prints them; {{#each}} goes through an object in the order of its JSON text, so that a template and a
// model always give the same text.
//
// There are no other helpers, no partials, no decorators and no raw blocks: they are mistakes, as is everything that Handlebars refuses.
//
// Templates and models are foreign bytes: the size of the source, tags, nesting, work and output are capped, parsing takes time in
// proportion to the source, and no input makes the package panic. The Go implementations of Handlebars do not give that (docs/dependencies.md).
package handlebars
