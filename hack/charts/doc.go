// Package charts tests the Helm charts with Helm's own library: what they render, what they refuse, and that they agree
// with config/, with the operator's object names and with their own README. It is a module of its own, so that nobody
// who uses Kontiki fetches Helm.
package charts
