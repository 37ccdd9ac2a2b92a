#!/bin/sh
# Creates a Kubernetes cluster in Docker for trials of Kontiki: three workers, each in its own zone.
#
#   hack/kind.sh up      create the cluster, then load
#   hack/kind.sh load    build both images and load them into every node
#   hack/kind.sh down    delete the cluster
#
# Needs docker, and kind (https://kind.sigs.k8s.io). KIND_CLUSTER_NAME is the cluster's name, by default kontiki. The
# images have the default names of the charts, so the charts need no --set. `make bin/helm` builds helm if you have none.
set -eu
cd "$(dirname "$0")/.."

cluster=${KIND_CLUSTER_NAME:-kontiki}
registry=ghcr.io/kontiki-dev
tag=$(sed -n 's/^appVersion: *"\(.*\)"$/\1/p' charts/raft-operator/Chart.yaml)

need() {
  for program in "$@"; do
    if ! command -v "$program" >/dev/null; then
      echo "hack/kind.sh: $program is not in PATH" >&2
      exit 1
    fi
  done
}

exists() {
  kind get clusters | grep -qxF "$cluster"
}

create() {
  kind create cluster --name "$cluster" --wait 3m --config - <<EOF
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - role: worker
    labels: {topology.kubernetes.io/zone: zone1}
  - role: worker
    labels: {topology.kubernetes.io/zone: zone2}
  - role: worker
    labels: {topology.kubernetes.io/zone: zone3}
EOF
}

# A running pod keeps the image that it was started with.
load() {
  make image REGISTRY="$registry" TAG="$tag"
  kind load docker-image --name "$cluster" "$registry/raftnode:$tag" "$registry/operator:$tag"
}

next_steps() {
  cat <<EOF

The cluster $cluster is running; the kubectl context is kind-$cluster. Next:

  helm install kontiki charts/raft-operator --namespace kontiki-system --create-namespace
  kubectl apply -f config/samples/minimal.yaml
  kubectl wait --for=condition=Ready raftcluster/demo --timeout=180s
  kubectl port-forward svc/demo-dashboard 8080        # http://127.0.0.1:8080
EOF
}

case "${1-}" in
  up)
    need docker kind make
    if exists; then echo "the cluster $cluster exists already"; else create; fi
    load
    next_steps
    ;;
  load)
    need docker kind make
    load
    ;;
  down)
    need kind
    kind delete cluster --name "$cluster"
    ;;
  *)
    echo "usage: hack/kind.sh up|load|down" >&2
    exit 2
    ;;
esac
