#!/bin/sh
# Creates the default StorageClass `shared` with COUNT volumes (by default 16) in a Kubernetes whose nodes all run on this
# machine. The volumes are directories of this machine. Unlike host-path volumes they honour fsGroup, so that a container
# that does not run as root can write to them, and a pod that moves to another node keeps its volume, as with network
# storage. Needs root, and kubectl with KUBECONFIG set. Deletes the former content of the directories.
set -eu

count=${1:-16}
root=${VOLUMES:-/tmp/kontiki-volumes}

class() {
  cat <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: shared, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
YAML
}

volume() { # volume NUMBER
  cat <<YAML
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: shared-$1}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: shared
  local: {path: $root/$1}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}]}
YAML
}

kubectl delete persistentvolume --ignore-not-found --wait=false $(seq -f 'shared-%.0f' 1 "$count")
rm -rf "$root"
{
  class
  for number in $(seq 1 "$count"); do
    mkdir -p "$root/$number"
    volume "$number"
  done
} | kubectl apply -f -
for other in $(kubectl get storageclass -o name | grep -v '/shared$'); do
  kubectl annotate --overwrite "$other" storageclass.kubernetes.io/is-default-class=false
done
