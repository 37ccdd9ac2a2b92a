// Package e2e is the story of a cluster on a real Kubernetes, told as one Go test: the operator is installed as a user
// would, a RaftCluster is applied, and then everything happens to it that happens to a cluster in its life, while a
// client in a pod writes to it all the time. What the client saw must be linearizable; how long it could not write is
// measured. `make e2e` builds what it needs and runs it on the cluster that KUBECONFIG names; without E2E=1 it is
// skipped, and only the tests of the harness's own judgement run.
//
// It wants three Kubernetes nodes, and a default StorageClass whose volumes honour fsGroup and can be had on another
// node: hack/local-volumes.sh makes one where host-path volumes do not. It uses seven volumes.
package e2e
