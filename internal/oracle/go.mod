module postyard/internal/oracle

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.48.0
	github.com/sendgrid/sendgrid-go v3.16.1+incompatible
	pgregory.net/rapid v1.3.0
	postyard v0.0.0
)

require (
	github.com/andybalholm/cascadia v1.3.5 // indirect
	github.com/aws/smithy-go v1.28.9 // indirect
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	github.com/emersion/go-smtp v0.25.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	github.com/wneessen/go-mail v0.8.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace postyard => ../..
