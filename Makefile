.DEFAULT_GOAL := help
# SQLite and its C library are C that was translated: to watch their every access for races takes most of the time of the tests, and finds none
# of ours. internal/e2e/programtest builds what tests run with the same.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
# Tests that wait for processes and for providers in trouble take long and compute little: they begin first, and others beside them.
SLOW := ./internal/e2e ./internal/app ./internal/web ./internal/store/sqlite ./internal/store/postgres
GOLANGCI := .bin/golangci-lint
GOLANGCI_VERSION := v2.15.0
# Programs for Node.js that tests run: the tools of the dashboard, Postmark's client, and Amazon's check of SNS messages.
NPM := internal/web/ui internal/sandbox/testdata/npm internal/oracle/testdata/npm
# The loop to run (TestKill/SQLite, TestKill/PostgreSQL, TestCluster, TestKinds, ...), how long, and go test's flags for it.
CHAOS ?= TestKill|TestCluster|TestKinds
CHAOS_TIME ?= 10m
CHAOS_FLAGS ?= -race

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: build ## Run everything on this machine with no account anywhere
	bin/postyard demo

build: ## Build bin/postyard
	go build -o bin/postyard ./cmd/postyard

test: postgres chromium npm ## Vet, lint, and run all tests with the race detector
	@$(MAKE) --no-print-directory -j3 lint test-product test-oracle

test-product: # lint vets
	go test $(RACE) -vet=off -p 2 -timeout 14m $(SLOW) ./...

test-oracle:
	cd internal/oracle && go test $(RACE) -vet=off -timeout 5m ./...

# go vet is one of the linters. They look at what the tests run, which so is compiled once; the tests go first.
lint: $(GOLANGCI) ## Vet and lint
	GOFLAGS="$$(go env GOFLAGS) $(RACE)" nice $(GOLANGCI) run ./...
	cd internal/oracle && GOFLAGS="$$(go env GOFLAGS) $(RACE)" nice $(CURDIR)/$(GOLANGCI) run ./...

bench: ## Measure accepting and dispatching (fsync on)
	go test -run '^$$' -bench . -benchtime 5s ./internal/app ./internal/store/postgres ./internal/books

chaos: ## Kill the server again and again under load and faults, for CHAOS_TIME (10m)
	POSTYARD_CHAOS_TIME=$(CHAOS_TIME) go test $(CHAOS_FLAGS) -timeout 0 -count 1 -run '$(CHAOS)' -v ./internal/e2e

deep: ## Measure with a million messages waiting
	POSTYARD_DEEP_QUEUE=1000000 go test -timeout 30m -count 1 -run 'TestDeepQueue|TestBulkDoesNotBlock' -v ./internal/app

postgres: # the tests start servers of their own, and need the programs
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
		{ echo "The tests need PostgreSQL's programs (initdb, postgres); on Debian: apt-get install postgresql" >&2; exit 1; }

chromium: # the tests of the dashboard open its pages
	@test -x "$${CHROMIUM:-/usr/bin/chromium}" || { echo "The tests need Chromium; on Debian: apt-get install chromium fonts-liberation" >&2; exit 1; }

npm: $(NPM:%=%/node_modules/.package-lock.json) # the tests run them, and do not install them

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { echo "The tests need Node.js and npm; on Debian: apt-get install nodejs npm" >&2; exit 1; }
	cd $* && npm ci --no-audit --no-fund
	@touch $@

pictures: build npm chromium ## Make the pictures of docs/dashboard.md anew, by the browser tests
	cd internal/web/ui && LOOKS=all npm test
	for p in overview newprovider-sent message ippool-volume compare; do cp internal/web/ui/shots/$$p-1440-light.png docs/dashboard/$$p.png; done

fuzz: ## Run every fuzz target for 30 s
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime 30s $$pkg || exit 1; \
		done; \
	done

# It runs once where it is compiled anew: a compiler that inlines nothing takes half of the time.
$(GOLANGCI): Makefile
	GOBIN=$(CURDIR)/.bin nice go install -ldflags='-s -w' -gcflags='all=-l -dwarf=false' github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@touch $@

.PHONY: help demo build test test-product test-oracle lint bench chaos deep postgres chromium npm pictures fuzz
