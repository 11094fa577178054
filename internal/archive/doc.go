// Package archive opens archives, and is the only place of the project that
// does. It reads tar, in all its compressions, and zip strictly ([Unpack]),
// knows what a tree is, and keeps no state.
//
// # Trees
//
// The `tree` of a lock is the digest of a folder: the lower-case hexadecimal
// SHA-256 over one line per file, sorted bytewise by path,
//
//	<SHA-256 of the content, 64 lower-case hexadecimal digits> <x or -> <path>\n
//
// Paths are relative, slash-separated UTF-8 and obey [lock.CheckPath]. Only
// regular files count: a tree has no empty folders, no symbolic links and no
// owners, times or modes but the executable bit, which is x when the entry's
// mode in its archive has any of 0111 (tar, and zip made on Unix), or when the
// package manager would make it executable ([Options].Exec): a bin of an npm
// package; in Go itself, whose zips carry no modes, every file below bin and
// pkg/tool and every file below lib named go_*_*_exec, on every platform, as
// cmd/go does it (cmd/go/internal/toolchain/select.go). Two paths of one
// tree never fall together on a file system that ignores case or Unicode
// normalisation. [TreeHash] computes the digest, [Unpack] and [HashDir] make
// the list that it takes.
package archive
