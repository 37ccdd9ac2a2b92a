// Package charts tests the Helm charts with Helm's own library: what they render, what they reject, and that they
// agree with config/, with the operator's object names and with their own README. It is a separate module, so that
// users of Kontiki do not fetch Helm.
package charts
