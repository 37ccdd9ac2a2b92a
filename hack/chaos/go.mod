module github.com/kontiki-dev/kontiki/hack/chaos

go 1.26.0

replace github.com/kontiki-dev/kontiki => ../..

replace github.com/kontiki-dev/kontiki/hack/lab => ../lab

require (
	github.com/kontiki-dev/kontiki v0.0.0-00010101000000-000000000000
	github.com/kontiki-dev/kontiki/hack/lab v0.0.0-00010101000000-000000000000
)

require github.com/anishathalye/porcupine v1.3.1 // indirect
