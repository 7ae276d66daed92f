# Development tools are pinned in tools/go.mod, a module of their own, so that
# the library's go.mod names none of them.
TOOL := go tool -modfile=tools/go.mod

# A number of runs: given a duration instead, Go 1.26 at times reports its end as
# a failure, "context deadline exceeded" (golang/go#75804).
FUZZTIME ?= 200000x
BENCH    ?= .
COUNT    ?= 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: ## Send the example's campaign to its own fake Telegram
	go run ./examples/telegram

.PHONY: test
test: ## Run the tests
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector
	go test -race ./...

.PHONY: cross
cross: ## Vet the code for other systems, and run the tests with 32-bit ints
	GOOS=windows go vet ./...
	GOOS=darwin go vet ./...
	GOOS=linux GOARCH=arm go vet ./...
	GOOS=linux GOARCH=386 go vet ./...
	GOARCH=386 CGO_ENABLED=0 go test -short ./...

.PHONY: lint
lint: ## Report what gofumpt, go vet, staticcheck, go fix and go mod tidy object to
	@files=$$($(TOOL) gofumpt -l .) || exit; \
	if [ -n "$$files" ]; then echo "to be formatted by make fmt:"; echo "$$files"; exit 1; fi
	go vet ./...
	$(TOOL) staticcheck ./...
	go fix -diff ./...
	go mod tidy -diff

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) gofumpt -w .

.PHONY: fuzz
fuzz: ## Run each fuzz target FUZZTIME (200000x) times
	@for dir in $$(go list -f '{{.Dir}}' ./...); do \
		for name in $$(grep -hos '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -d ' ' -f 2); do \
			echo "$$name in $$dir"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir || exit; \
		done; \
	done

.PHONY: fleet
fleet: ## Let 8 processes share 200/s through Redis for 20 s
	GOREDIS_TEST_FLEET_TIME=20s go test -count 1 -v -run '^TestFleet$$' ./backend/goredis

.PHONY: bench
bench: ## Run the benchmarks that match BENCH (.), COUNT (1) times
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

.PHONY: peers
peers: ## Measure it beside its peers, in some 15 minutes, on a redis-server of its own
	cd bench && go run .

.PHONY: cover
cover: ## Write the test coverage to cover.out and sum it up
	go test -coverpkg ./... -coverprofile cover.out ./...
	go tool cover -func cover.out | tail -n 1

.PHONY: readme
readme: ## Compile the Go code in README.md
	tools/readme.sh

.PHONY: ci
ci: ## Run everything that has to pass before a change is merged
	bash .ci/run
