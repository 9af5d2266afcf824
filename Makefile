# The commands of this project. `make test` is what CI runs.

GO            ?= go
GOLANGCI_LINT  = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME      ?= 30s
FOR           ?= 1h

# One form of build for everything but the race detector, which needs C: what the first
# step compiled serves the others.
export CGO_ENABLED = 0

.PHONY: test lint generate fresh fuzz bench soak build prerequisites extension screenshots extension-lint

# Everything that must hold before a change lands, cheapest first.
test: prerequisites
	$(GO) build ./...
	test -z "$$(gofmt -l .)" || { echo 'gofmt would change:' >&2; gofmt -l . >&2; exit 1; }
	$(GO) vet ./...
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory fresh
	$(MAKE) --no-print-directory extension
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...
	$(MAKE) --no-print-directory fuzz
	$(GO) build -o bin/signpost ./cmd/signpost

lint:
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...

generate:
	$(GO) generate ./...

# Generated files are committed; this proves that they are what their sources make.
fresh:
	scripts/fresh

# Each fuzz target for FUZZTIME.
fuzz:
	scripts/fuzz $(FUZZTIME)

# Ratios, each pair measured in the same run.
bench:
	$(GO) run ./internal/bench

# The real server against the double of Bitbucket, with everything going wrong, for FOR.
soak:
	$(GO) run ./internal/trial/soak -for $(FOR)

# Pictures of the button in the pages of every version, and of its states, in bin/screenshots.
screenshots:
	$(GO) run ./internal/trial/visit/screenshots

# A release: make build VERSION=1.2.3. Without one the program names its commit.
build:
	$(GO) build -trimpath -ldflags '-X example.com/signpost/internal/app.version=$(VERSION)' -o bin/signpost ./cmd/signpost

prerequisites:
	scripts/prerequisites

# Types and unit tests of the browser extension; it is packed as it lies, so nothing is built.
extension:
	cd extension-assets && npm ci --no-audit --no-fund && npm run types && npm test

# Mozilla's linter. Two warnings stay: the plain manifest is for both browsers, so it names
# Chromium's service worker too, which Firefox ignores in favour of its scripts; and Firefox
# for Android, where nothing of this was tried, asks for consent to data only from 142 on.
extension-lint:
	cd extension-assets && npm run lint
