//go:build !unix

package budget

// descriptorLimit returns the assumed limit: these systems cannot be asked.
func descriptorLimit() int { return unknownDescriptors }
