//go:build !linux

package store

import "errors"

// exchange is not there; the caller renames twice.
func exchange(_, _ string) error { return errors.ErrUnsupported }
