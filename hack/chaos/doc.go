// Command chaos lets real raftnode processes live through real faults under load, and judges what clients saw.
package main
