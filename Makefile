# go.work joins the modules of this repository, and "work" names all of their
# packages. The modules bench and tools are not among them: what they require would
# raise versions in the others.

# Development tools are pinned in tools/go.mod, so that the library's go.mod names
# none of them. TOOL runs a tool, $(TOOL) -n prints the path of its binary.
TOOL := GOWORK=off go tool -modfile=tools/go.mod

# A number of runs: given a duration instead, Go 1.26 at times reports its end as
# a failure, "context deadline exceeded" (golang/go#75804).
FUZZTIME  ?= 200000x
BENCH     ?= .
COUNT     ?= 1
FLEETTIME ?= 20s

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: ## Send the example's campaign to its own fake Telegram
	go run ./examples/telegram

.PHONY: test
test: ## Run the tests
	go test work

.PHONY: race
race: ## Run the tests with the race detector
	go test -race work

# A kernel for amd64 may have been built without what runs programs for 386.
.PHONY: cross
cross: ## Vet the code for other systems, and run the tests with 32-bit ints
	GOOS=windows go vet work
	GOOS=darwin go vet work
	GOOS=linux GOARCH=arm go vet work
	GOOS=linux GOARCH=386 go vet work
	@if GOARCH=386 CGO_ENABLED=0 go test -run '^$$' ./internal/wakeup >/dev/null 2>&1; then \
		echo "GOARCH=386 CGO_ENABLED=0 go test -short work"; \
		GOARCH=386 CGO_ENABLED=0 go test -short work; \
	else \
		echo "no test ran with 32-bit ints: this machine runs no programs for 386"; \
	fi

.PHONY: lint
lint: ## Report what gofumpt, go vet, staticcheck, go fix and go mod tidy object to
	@files=$$($(TOOL) gofumpt -l .) || exit; \
	if [ -n "$$files" ]; then echo "to be formatted by make fmt:"; echo "$$files"; exit 1; fi
	go vet work
	$$($(TOOL) -n staticcheck) work
	go fix -diff work
	@for dir in $$(go list -m -f '{{.Dir}}'); do \
		echo "each module by itself: $$dir"; \
		(cd $$dir && GOWORK=off go mod tidy -diff && GOWORK=off go vet ./...) || exit; \
	done
	cd bench && GOWORK=off go mod tidy -diff
	cd tools && GOWORK=off go mod tidy -diff

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) gofumpt -w .

.PHONY: fuzz
fuzz: ## Run each fuzz target FUZZTIME (200000x) times
	@for dir in $$(go list -f '{{.Dir}}' work); do \
		for name in $$(grep -hos '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -d ' ' -f 2); do \
			echo "$$name in $$dir"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir || exit; \
		done; \
	done

.PHONY: fleet
fleet: ## Let 8 and 32 processes share limits through Redis, for 3 minutes
	GOREDIS_TEST_FLEET_TIME=$(FLEETTIME) go test -count 1 -v -run '^TestFleet$$' ./backend/goredis

.PHONY: bench
bench: ## Run the benchmarks that match BENCH (.), COUNT (1) times
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) work

.PHONY: peers
peers: ## Measure it beside its peers, in some 15 minutes, on a redis-server of its own
	cd bench && GOWORK=off go run .

.PHONY: cover
cover: ## Write the test coverage to cover.out and sum it up
	go test -coverpkg work -coverprofile cover.out work
	go tool cover -func cover.out | tail -n 1

.PHONY: docs
docs: ## Write the table of orders into the documentation
	tools/orders.sh

.PHONY: readme
readme: ## Compile the Go code in README.md and docs, and check their links and tables
	tools/readme.sh
	tools/orders.sh --check
	go test -run "^TestDocs|^TestReadme" .

.PHONY: ci
ci: ## Run everything that has to pass before a change is merged
	bash .ci/run
