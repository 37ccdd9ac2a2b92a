// Package e2e tests a cluster on a real Kubernetes in one Go test: it installs the operator as a user would, applies a
// RaftCluster, and injects faults and changes, while a client in a pod writes to it all the time. The history of the
// client must be linearizable; the test measures how long it could not write. `make e2e` builds what it needs and runs
// it on the cluster that KUBECONFIG names; without E2E=1 it is skipped, and only the unit tests of the harness run.
//
// It needs three Kubernetes nodes, and a default StorageClass whose volumes honor fsGroup and can move to another
// node: hack/local-volumes.sh creates one if host-path volumes do not. It uses seven volumes.
package e2e
