package fault

import "syscall"

// System error codes of Windows (winerror.h) that package syscall has no names
// for: ERROR_TOO_MANY_OPEN_FILES and WSAEMFILE, ERROR_HANDLE_DISK_FULL and
// ERROR_DISK_FULL, ERROR_WRITE_PROTECT.
var (
	tooManyFiles   = []error{syscall.Errno(4), syscall.Errno(10024)}
	diskFull       = []error{syscall.Errno(39), syscall.Errno(112)}
	writeProtected = []error{syscall.Errno(19)}
)
