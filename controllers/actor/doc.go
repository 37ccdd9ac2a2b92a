// Package actor carries out the acts of package decide: it checks that what an act was decided on still holds, and
// sends the one request that the act is.
package actor
