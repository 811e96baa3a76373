# Everything that is done with this repository. `make` alone explains it.

export CGO_ENABLED ?= 0
# A release sets VERSION; else it is what git calls the commit.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w $(if $(VERSION),-X main.version=$(VERSION))"
PREFIX ?= /usr/local
FUZZTIME ?= 30s
# One package starts hundreds of processes: on a busy machine that takes longer
# than go test's own limit.
TESTTIME ?= 30m
# The race detector sleeps a second at the end of each process, unless told not to.
GORACE ?= atexit_sleep_ms=0

.DEFAULT_GOAL := help
.PHONY: help
help: ## Explain the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the main job on this machine: no account, no Postgres, no bucket
	@go run ./cmd/patina demo

.PHONY: build
build: ## Build bin/patina, one static binary
	go build $(GOFLAGS_BUILD) -o bin/patina ./cmd/patina

.PHONY: install
install: build ## Install the binary and its completions below PREFIX (/usr/local)
	install -Dm755 bin/patina $(DESTDIR)$(PREFIX)/bin/patina
	install -Dm644 completions/patina.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/patina
	install -Dm644 completions/_patina $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_patina
	install -Dm644 completions/patina.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/patina.fish

.PHONY: test
test: ## Install what the tests need, and run them all against real services
	.ci/test go test -timeout $(TESTTIME) ./...

.PHONY: test-short
test-short: ## Run the tests that need nothing but Go
	go test -short ./...

# The race detector slows pure-Go SQLite 25 to 40 times, so the suites take their
# small data from -short; only Postgres needs its service.
.PHONY: race
race: ## Run the short tests and the concurrency suites under the race detector
	@.ci/install race
	GORACE=$(GORACE) CGO_ENABLED=1 go test -race -short -timeout $(TESTTIME) ./...
	GORACE=$(GORACE) CGO_ENABLED=1 .ci/test go test -race -timeout $(TESTTIME) ./pkg/catalog/pgcatalog

.PHONY: lint
lint: ## Check the code with golangci-lint, import directions included
	@.ci/install lint
	.ci/lint

.PHONY: verify
verify: ## Make all generated files anew and fail if any differs
	go mod tidy -diff
	go mod verify
	@$(MAKE) --no-print-directory completions
	git diff --exit-code -- completions go.mod go.sum
	@test -z "$$(git status --porcelain -- completions)" || { git status --short -- completions; exit 1; }

.PHONY: completions
completions: ## Write the completion scripts of all shells
	go run ./cmd/patina completion bash > completions/patina.bash
	go run ./cmd/patina completion zsh > completions/_patina
	go run ./cmd/patina completion fish > completions/patina.fish
	go run ./cmd/patina completion powershell > completions/patina.ps1

.PHONY: bench
bench: ## Run the benchmarks; each states its ratio to a named alternative
	@.ci/install bench
	go test -run '^$$' -bench . -benchmem ./pkg/...
	.ci/bench/run $(BENCHFLAGS)

N ?= 200
SEED ?= $(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')
.PHONY: kill
kill: ## Kill a run at each point on every kind of store, and N (200) at random ones; SEED repeats them
	@echo "make kill N=$(N) SEED=$(SEED)"
	PATINA_TEST_KILLS=$(N) PATINA_TEST_SEED=$(SEED) .ci/test go test -count=1 -timeout 60m -run 'TestADeathAtEachPoint|TestRandomDeaths' ./cmd/patina

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (30s) each
	.ci/fuzz $(FUZZTIME)

.PHONY: wrangler-latest
wrangler-latest: ## Hold the sandbox against the newest wrangler instead of the pinned one
	WRANGLER_VERSION=latest .ci/test go test ./pkg/sandbox/conformance/...

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf bin .cache
