package postmark

import _ "embed"

// The welcome template of the seed. It renders without a model too.
var (
	//go:embed seed/welcome.html
	welcomeHTML string
	//go:embed seed/welcome.txt
	welcomeText string
)

const welcomeSubject = "{{#product_name}}Welcome to {{.}}{{/product_name}}{{^product_name}}Welcome{{/product_name}}"
