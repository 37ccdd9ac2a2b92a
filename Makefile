# Commands of this repository; `make help` lists them. Running and testing need Go, git and make; the tools are built from
# their modules into bin/.

GO      ?= go
NODES   ?= 5
DATA    ?= data
LISTEN  ?= 127.0.0.1:8080
TIME    ?= 30s
DURATION ?= 2m
SEEDS   ?= fresh+2000
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The default images of the charts.
REGISTRY ?= ghcr.io/kontiki-dev
TAG      ?= $(shell sed -n 's/^appVersion: *"\(.*\)"$$/\1/p' charts/raft-operator/Chart.yaml)

# Modules beside the root one have requirements that the product must not have: etcd, a browser driver.
MODULES := $(filter-out hack/tools,$(patsubst %/go.mod,%,$(wildcard hack/*/go.mod)))
LINTERS := bin/golangci-lint bin/actionlint
TOOLS   := $(LINTERS) bin/controller-gen bin/helm

# The Kubernetes that the operator is tested against: the version pinned in hack/tools/kubernetes.
KUBERNETES  = $(shell cd hack/tools/kubernetes && $(GO) list -m -f '{{.Version}}' k8s.io/kubernetes)
K8S_NUMBERS = $(subst ., ,$(KUBERNETES:v%=%))
K8S_MAJOR   = $(word 1,$(K8S_NUMBERS))
K8S_MINOR   = $(word 2,$(K8S_NUMBERS))

# Tests of the API and of the operator start the etcd and the kube-apiserver in KUBEBUILDER_ASSETS. If unset, make builds
# them from their modules.
ifeq ($(KUBEBUILDER_ASSETS),)
export KUBEBUILDER_ASSETS := $(CURDIR)/bin/k8s
CONTROL_PLANE := bin/k8s/etcd bin/k8s/kube-apiserver bin/k8s/kubectl
endif

.DEFAULT_GOAL := help
.PHONY: help run build test race lint e2e fmt sim mutants mutants-operator mutants-core chaos chaos-selftest fuzz bench soak generate manifests ui-vendor verify image image-oci clean

##@ Use

run: bin/raftnode ## Start five nodes and the dashboard on http://127.0.0.1:8080 (NODES, DATA, LISTEN)
	@exec bin/raftnode local --nodes $(NODES) --data-dir $(DATA) --listen $(LISTEN)

build: bin/raftnode bin/raftctl bin/manager ## Build raftnode, raftctl and the operator's manager into bin/

# These always run: Go determines what is out of date.
.PHONY: bin/raftnode bin/raftctl bin/raftsim bin/manager
bin/raftnode bin/raftctl bin/raftsim: FOLDER = node
bin/manager: FOLDER = controllers
bin/raftnode bin/raftctl bin/raftsim bin/manager:
	@$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $@ ./$(FOLDER)/cmd/$(@F)

image: ## Build the container images REGISTRY/raftnode:TAG and REGISTRY/operator:TAG
	docker build --build-arg VERSION=$(VERSION) --target node -t $(REGISTRY)/raftnode:$(TAG) .
	docker build --build-arg VERSION=$(VERSION) --target operator -t $(REGISTRY)/operator:$(TAG) .

# Static programs for the images, and the tool that packs them.
IMAGES := bin/images
IMAGE_BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
image-oci: ## Build both images without a container engine, into bin/images/*.tar (GOARCH for another architecture)
	@mkdir -p $(IMAGES)
	cd hack/image && GOARCH= $(GO) build -o $(CURDIR)/$(IMAGES)/image .
	GOOS=linux $(IMAGE_BUILD) -o $(IMAGES)/ ./node/cmd/raftnode ./node/cmd/raftctl ./controllers/cmd/manager
	$(IMAGES)/image -t $(REGISTRY)/raftnode:$(TAG) -arch $(shell $(GO) env GOARCH) -o $(IMAGES)/raftnode.tar \
		-target node $(IMAGES)
	$(IMAGES)/image -t $(REGISTRY)/operator:$(TAG) -arch $(shell $(GO) env GOARCH) -o $(IMAGES)/operator.tar \
		-target operator $(IMAGES)

##@ Check

test: $(CONTROL_PLANE) ## Run all tests; browser tests are skipped without Chromium, unless CI=1
	$(GO) test ./...
	@set -e; for module in $(MODULES); do echo "$(GO) test ./... (in $$module)"; (cd $$module && $(GO) test ./...); done

# By the import law (node/imports_test.go) these packages start no goroutine, so the race detector has nothing to find.
PURE := controllers/decide node/compaction node/divergence node/entryjson node/identity node/jsontext node/kv node/plaintext node/raft node/room node/snapshot node/storage/sqlitefile
race: $(CONTROL_PLANE) ## Run the tests under the race detector (needs a C compiler)
	$(GO) test -race $(filter-out $(addprefix %/,$(PURE)),$(shell $(GO) list ./...))

lint: $(LINTERS) ## Check style, the import law and the workflows, with the linters pinned in hack/tools
	bin/golangci-lint run ./...
	@set -e; for module in $(MODULES); do echo "bin/golangci-lint run ./... (in $$module)"; \
		(cd $$module && $(CURDIR)/bin/golangci-lint run ./...); done
	bin/actionlint

# The programs of the end-to-end test are static, because their images hold nothing else. LOAD_IMAGE, CUT_NODE and
# HEAL_NODE are commands: the first gets the name of a tar file, the others have {node} and {number} replaced.
E2E := bin/e2e
E2E_BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)'
export CUT_NODE HEAL_NODE

e2e: bin/helm ## Test the operator on the Kubernetes of KUBECONFIG (LOAD_IMAGE, CUT_NODE, HEAL_NODE)
	@mkdir -p $(E2E)
	$(E2E_BUILD) -o $(E2E)/ ./node/cmd/raftnode ./node/cmd/raftctl ./controllers/cmd/manager
	cd hack/e2e && $(E2E_BUILD) -o $(CURDIR)/$(E2E)/ ./workload
	cd hack/image && $(GO) build -o $(CURDIR)/$(E2E)/image .
	$(E2E)/image -t kontiki/raftnode:dev -o $(E2E)/raftnode.tar -target node $(E2E)
	$(E2E)/image -t kontiki/operator:dev -o $(E2E)/operator.tar -target operator $(E2E)
	$(E2E)/image -t kontiki/e2e:dev -o $(E2E)/workload.tar $(E2E)/workload
	$(if $(LOAD_IMAGE),set -e; for tar in raftnode operator workload; do $(LOAD_IMAGE) $(E2E)/$$tar.tar; done)
	cd hack/e2e && E2E=1 $(GO) test -v -count=1 -timeout 40m -run '^TestEndToEnd$$' .

sim: bin/raftsim ## Simulate 2,000 clusters from fresh seeds (SEEDS=0..500, WORKERS)
	bin/raftsim -seeds $(SEEDS) $(if $(WORKERS),-workers $(WORKERS))

mutants: SEEDS = 0..200
mutants: ## Plant every known bug in turn; the simulator must find each (ONLY=T12,T13, SEEDS, WORKERS; WRITE=1: write the table)
	$(GO) run ./node/sim/mutants/hunt -seeds $(SEEDS) $(if $(WORKERS),-workers $(WORKERS)) \
		$(if $(ONLY),-only $(ONLY)) $(if $(WRITE),-write)

mutants-operator: ## Plant every known bug of the operator in turn; its tests must find each (ONLY=O2, WORKERS)
	$(GO) run ./node/sim/mutants/hunt -operator $(if $(WORKERS),-workers $(WORKERS)) $(if $(ONLY),-only $(ONLY))

mutants-core: ## Plant every known bug of membership changes in turn; the tests of node/raft must find each (ONLY=T24, WORKERS)
	$(GO) run ./node/sim/mutants/hunt -core $(if $(WORKERS),-workers $(WORKERS)) $(if $(ONLY),-only $(ONLY))

# NODES counts here only if set by the user: the default of `make run` is five, and here three.
CHAOS = bin/chaos $(if $(filter command% environment%,$(origin NODES)),-nodes $(NODES)) $(if $(SEED),-seed $(SEED)) \
	-dir data
chaos: bin/chaos ## Run real processes under fault injection (DURATION=10m, NODES=3|5, SEED, FAULTS=kill,split, NET)
	@exec $(CHAOS) -duration $(DURATION) $(if $(FAULTS),-faults $(FAULTS)) $(if $(NET),-net $(NET))

chaos-selftest: bin/chaos ## Plant bugs into real processes (stale read, lost write, wrong state); chaos must find each
	@exec $(CHAOS) -selftest

.PHONY: bin/chaos
bin/chaos:
	@cd hack/chaos && $(GO) build -o $(CURDIR)/$@ .

fuzz: ## Run every fuzz target in turn, for TIME each
	@hack/fuzz $(TIME)

bench: ## Compare with etcd in the same run (SHORT=1: three minutes; BENCH_FLAGS="-only failover")
	cd hack/bench && $(GO) run . $(if $(SHORT),-short) $(BENCH_FLAGS)

soak: DURATION = 10m
soak: ## Write for DURATION; fails if memory, files or goroutines grow, or a write is lost (BENCH_FLAGS)
	cd hack/bench && $(GO) run . -soak $(DURATION) $(BENCH_FLAGS)

##@ Change

fmt: bin/golangci-lint ## Format the code
	bin/golangci-lint fmt

generate: bin/controller-gen ## Generate Go code: the copy functions of the API, and go:generate
	bin/controller-gen object paths=./api/...
	$(GO) generate ./...

CHART_FILES := charts/raft-operator/files
CRD         := config/crd/raft.kontiki.dev_raftclusters.yaml

manifests: bin/controller-gen ## Generate the CRD and the operator's role, for config/ and for the charts
	@mkdir -p $(CHART_FILES)
	bin/controller-gen crd paths=./api/... output:crd:dir=config/crd
	@cp $(CRD) $(CHART_FILES)/crd.yaml
	bin/controller-gen rbac:roleName=kontiki-operator,fileName=role.yaml paths=./controllers/... output:rbac:dir=config/rbac
	@cp config/rbac/role.yaml $(CHART_FILES)/role.yaml
	cd hack/charts && $(GO) run ./schema $(CURDIR)/$(CRD) $(CURDIR)/charts/raft-cluster/values.schema.json

ui-vendor: ## Fetch the page's libraries again (needs npm)
	sh hack/tools/ui/vendor.sh

verify: generate manifests ## Fail if `make generate manifests` changes a committed file
	@changed=$$(git status --porcelain); if [ -n "$$changed" ]; then \
		printf 'not clean after make generate manifests; commit these or undo them:\n%s\n' "$$changed"; exit 1; fi

clean: ## Remove build output; keep data/
	rm -rf bin

bin/golangci-lint: hack/tools/go.mod
bin/actionlint: hack/tools/actionlint/go.mod
bin/controller-gen: hack/tools/controller-gen/go.mod
bin/helm: hack/tools/helm/go.mod
# Without a cluster, Helm renders charts for the Kubernetes version that is set in its build.
bin/helm: LDFLAGS = $(foreach package,chartutil lint/rules,\
	-X helm.sh/helm/v3/pkg/$(package).k8sVersionMajor=$(K8S_MAJOR) \
	-X helm.sh/helm/v3/pkg/$(package).k8sVersionMinor=$(K8S_MINOR))
$(TOOLS):
	@echo "building $@ from its module; the first time takes some minutes"
	@cd $(<D) && $(GO) build -ldflags '$(LDFLAGS)' -o $(CURDIR)/bin/ tool
	@touch $@

bin/k8s/etcd: hack/tools/etcd/go.mod
bin/k8s/etcd: PACKAGE = go.etcd.io/etcd/server/v3
bin/k8s/kube-apiserver bin/k8s/kubectl: hack/tools/kubernetes/go.mod
bin/k8s/kube-apiserver bin/k8s/kubectl: PACKAGE = k8s.io/kubernetes/cmd/$(@F)
bin/k8s/kube-apiserver bin/k8s/kubectl: LDFLAGS = $(patsubst %,-X k8s.io/component-base/version.%,\
	gitVersion=$(KUBERNETES) gitMajor=$(K8S_MAJOR) gitMinor=$(K8S_MINOR))
bin/k8s/etcd bin/k8s/kube-apiserver bin/k8s/kubectl:
	@echo "building $@ from its module, once: all three take four to seven minutes on two cores"
	@cd $(<D) && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o $(CURDIR)/$@ $(PACKAGE)
	@touch $@

##@ Help

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make TARGET"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
