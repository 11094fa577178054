//go:build !windows

package fault

// What only Windows says.
var tooManyFiles, diskFull, writeProtected []error
