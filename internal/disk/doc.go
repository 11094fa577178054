// Package disk asks the operating system what the cache needs of a file system:
// room, locks, and the exchange of two folders in one step.
package disk
