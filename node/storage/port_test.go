package storage_test

import (
	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/storage"
)

var _ node.Storage = (*storage.DB)(nil)
