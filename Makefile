# Everything that is done to this repository by a command. `make help` lists it.
# Running and testing needs Go, git and make; the linters are built from their modules into bin/.

GO      ?= go
NODES   ?= 5
DATA    ?= data
LISTEN  ?= 127.0.0.1:8080
TIME    ?= 30s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Modules beside the root one have requirements that the product must not have: etcd, a browser driver.
MODULES := $(filter-out hack/tools,$(patsubst %/go.mod,%,$(wildcard hack/*/go.mod)))
LINTERS := bin/golangci-lint bin/actionlint

.DEFAULT_GOAL := help
.PHONY: help run build test race lint fmt fuzz bench generate ui-vendor verify image clean

##@ Use

run: bin/raftnode ## Start five nodes and the dashboard on http://127.0.0.1:8080 (NODES, DATA, LISTEN)
	@exec bin/raftnode local --nodes $(NODES) --data-dir $(DATA) --listen $(LISTEN)

build: bin/raftnode bin/raftctl ## Build raftnode and raftctl into bin/

# Go decides what is out of date, so these always run.
.PHONY: bin/raftnode bin/raftctl
bin/raftnode bin/raftctl:
	@$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $@ ./node/cmd/$(@F)

image: ## Build the container image kontiki:VERSION
	docker build --build-arg VERSION=$(VERSION) -t kontiki:$(VERSION) .

##@ Check

test: ## Run every test a laptop can; browser tests skip where there is no Chromium, unless CI=1
	$(GO) test ./...
	@set -e; for module in $(MODULES); do echo "$(GO) test ./... (in $$module)"; (cd $$module && $(GO) test ./...); done

race: ## Run the tests under the race detector (needs a C compiler)
	$(GO) test -race ./...

lint: $(LINTERS) ## Check style, the import law and the workflows, with the linters pinned in hack/tools
	bin/golangci-lint run ./...
	@set -e; for module in $(MODULES); do echo "bin/golangci-lint run ./... (in $$module)"; \
		(cd $$module && $(CURDIR)/bin/golangci-lint run ./...); done
	bin/actionlint

fuzz: ## Run every fuzz target in turn, for TIME each
	@hack/fuzz $(TIME)

bench: ## Measure against etcd in the same run (SHORT=1: two minutes; BENCH_FLAGS="-only failover")
	cd hack/bench && $(GO) run . $(if $(SHORT),-short) $(BENCH_FLAGS)

##@ Change

fmt: bin/golangci-lint ## Format the code
	bin/golangci-lint fmt

generate: ## Generate what is generated
	$(GO) generate ./...

ui-vendor: ## Fetch the page's libraries again (needs npm)
	sh hack/tools/ui/vendor.sh

verify: generate ## Fail if generating changes anything that is committed
	@changed=$$(git status --porcelain); if [ -n "$$changed" ]; then \
		printf 'not clean after make generate; commit these or undo them:\n%s\n' "$$changed"; exit 1; fi

clean: ## Remove what was built; data/ stays
	rm -rf bin

bin/golangci-lint: hack/tools/go.mod
bin/actionlint: hack/tools/actionlint/go.mod
$(LINTERS):
	@echo "building $@ from its module; the first time takes some minutes"
	@cd $(<D) && $(GO) build -o $(CURDIR)/bin/ tool
	@touch $@

##@ Help

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make TARGET"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
