// Command etcd is etcd itself, built from its Go module at the version in go.mod, so that the benchmark compares with
// a pinned etcd and downloads no binary.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
