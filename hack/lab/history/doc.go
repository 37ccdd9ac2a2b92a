// Package history is a history of a store: the operations that clients tried, when and with what outcome. It finds the
// longest time without a successful write and reports whether the whole is linearizable.
package history
