//go:build !unix

package budget

// descriptorLimit returns the assumed limit: it cannot be read on these systems.
func descriptorLimit() int { return unknownDescriptors }
