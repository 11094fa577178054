// Package archive reads archives; nothing else in this project does. [Unpack]
// reads tar, with any compression, and zip strictly. The package also defines
// trees and their digests. It keeps no state.
//
// # Trees
//
// The `tree` in a lock is the digest of a folder: the lower-case hexadecimal
// SHA-256 of one line per file, sorted bytewise by path,
//
//	<SHA-256 of the content, 64 lower-case hexadecimal digits> <x or -> <path>\n
//
// Paths are relative, slash-separated UTF-8 and obey [syntax.CheckPath]. A tree
// has only regular files: no empty folders or symbolic links, and no owners,
// times or modes except the executable bit. The bit is x if the mode in the
// archive has any of 0111 (tar, and zip made on Unix), or if the package
// manager would make the file executable ([Options].Exec). These are the bins
// of an npm package and, in Go itself, whose zips have no modes, every file
// below bin and pkg/tool and every file below lib named go_*_*_exec, on every
// platform, as cmd/go does (cmd/go/internal/toolchain/select.go). No two paths
// of a tree collide on a file system that ignores case or Unicode
// normalisation. [TreeHash] computes the digest of a list that [Unpack] or
// [HashDir] returned.
package archive
