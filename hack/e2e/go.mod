module github.com/kontiki-dev/kontiki/hack/e2e

go 1.26.0

replace github.com/kontiki-dev/kontiki => ../..

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/google/go-containerregistry v0.22.1
	github.com/kontiki-dev/kontiki v0.0.0-00010101000000-000000000000
)

require (
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
)
