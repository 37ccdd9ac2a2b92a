// Command chaos runs real raftnode processes under load, injects faults, and checks the history of the clients.
package main
