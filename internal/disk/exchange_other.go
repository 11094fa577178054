//go:build !linux

package disk

import "errors"

// Exchange is not supported; the caller renames twice.
func Exchange(_, _ string) error { return errors.ErrUnsupported }
