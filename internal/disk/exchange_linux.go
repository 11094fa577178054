package disk

import "golang.org/x/sys/unix"

// Exchange swaps two names in one step: at no time is there none.
func Exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
