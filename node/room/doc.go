// Package room decides whether a node may take what adds bytes: by the quota for the data, and by the free space on its
// disk. It measures nothing, and has no clock.
package room
