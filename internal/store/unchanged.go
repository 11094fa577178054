package store

import "github.com/birbparty/buck2-protobuf/internal/filestat"

// After a tree has been hashed, trees/<tree>.seen records what stat said about
// every file, every folder and the list beside the tree. As long as stat says
// the same, the tree is used without reading it. A folder that gained or lost
// an entry has other times. On any difference, such as after copying the cache,
// the tree is hashed and the record written again.

// listEntry is the path of a tree's list from inside the tree, see writeStamp.
func listEntry(tree string) string { return "../" + tree + ".ok" }

// remember records what stat said of a tree, which was asked before it was hashed,
// if nothing has changed since. Otherwise the tree is hashed again the next
// time.
func (s *Store) remember(tree string, all []filestat.Entry) {
	name := "trees/" + tree + ".seen"
	list, err := filestat.Lstat(s.path("trees", tree+".ok"))
	r := filestat.NewRecord(append(all, filestat.Entry{Name: listEntry(tree), Identity: list}))
	if err != nil || !filestat.Same(r, s.path("trees", tree)) {
		remove(s.path(name))
		return
	}
	_ = s.Put(name, 0o644, r.Print(tree)) // fails in a read-only cache
}

// Unchanged reports whether stat says of a tree what it said when the tree was
// hashed. It does not read the tree.
func (s *Store) Unchanged(tree string) bool {
	data, err := readFile(s.path("trees", tree+".seen"))
	if err != nil {
		return false
	}
	r, ok := filestat.ParseRecord(tree, data)
	return ok && filestat.Same(r, s.path("trees", tree))
}

// Doubt makes the next use hash the tree.
func (s *Store) Doubt(tree string) { remove(s.path("trees", tree+".seen")) }
