package proc

import (
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// refusals matches errors of the operating system as node, Python, Rust and Go
// print them. A server's message about its own disk has none of these forms.
var refusals = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)` +
		`^npm (?:error|ERR!) code (E[A-Z]+)$|` +
		`\b(E[A-Z]{2,}): [a-z -]+, [a-z]+|` + // node: ENOSPC: no space left on device, write
		`\[Errno \d+\] ([A-Z][a-z/ -]+)|` +
		`([A-Z][a-z/ -]+) \(os error \d+\)|` +
		`\b(?:open|write|read|mkdir|rename|close|create|sync|chmod|remove|link|socket|pipe|copy_file_range|fork/exec)\b[^\n]*: ([a-z/ -]+)$`)
})

// reasonsOf maps these messages to errors; those of strerror(3) are in lower case.
var reasonsOf = map[string]syscall.Errno{
	"ENOSPC": syscall.ENOSPC, "no space left on device": syscall.ENOSPC,
	"EDQUOT": syscall.EDQUOT, "disk quota exceeded": syscall.EDQUOT,
	"EROFS": syscall.EROFS, "read-only file system": syscall.EROFS,
	"EMFILE": syscall.EMFILE, "too many open files": syscall.EMFILE,
	"ENFILE": syscall.ENFILE, "too many open files in system": syscall.ENFILE,
	"EIO": syscall.EIO, "input/output error": syscall.EIO,
	"ENOMEM": syscall.ENOMEM, "cannot allocate memory": syscall.ENOMEM,
	"EACCES": syscall.EACCES, "permission denied": syscall.EACCES,
}

// refusedBySystem returns the error of the operating system that made a program
// fail, by its output, or nil if it failed for another reason.
func refusedBySystem(said string) error {
	for _, m := range refusals().FindAllStringSubmatch(said, -1) {
		for _, word := range m[1:] {
			if word == "" {
				continue
			}
			if e, ok := reasonsOf[word]; ok {
				return e
			}
			if e, ok := reasonsOf[strings.ToLower(strings.TrimSpace(word))]; ok {
				return e
			}
		}
	}
	return nil
}
