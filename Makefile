.DEFAULT_GOAL := help
GOLANGCI := .bin/golangci-lint
GOLANGCI_VERSION := v2.15.0
CHAOS_TIME ?= 10m

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: build ## Run everything on this machine with no account anywhere
	bin/postyard demo

build: ## Build bin/postyard
	go build -o bin/postyard ./cmd/postyard

test: lint ## Vet, lint, and run all tests with the race detector
	go test -race -timeout 10m ./...

lint: $(GOLANGCI) ## Vet and lint
	go vet ./...
	$(GOLANGCI) run ./...

bench: ## Measure accepting and dispatching (fsync on)
	go test -run '^$$' -bench . -benchtime 5s ./internal/app

chaos: ## Kill the server again and again under load and faults, for CHAOS_TIME (10m)
	POSTYARD_CHAOS_TIME=$(CHAOS_TIME) go test -race -timeout 0 -count 1 -run TestKill -v ./internal/e2e

fuzz: ## Run every fuzz target for 30 s
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime 30s $$pkg || exit 1; \
		done; \
	done

$(GOLANGCI): Makefile
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@touch $@

.PHONY: help demo build test lint bench chaos fuzz
