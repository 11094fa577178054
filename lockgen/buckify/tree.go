package buckify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/cases"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/glob"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/protofile"
)

// A tree is the content of a cell.
type tree struct {
	folders map[string]*folder // by path from the root of the cell
	order   []*folder          // sorted by path
	files   []*file            // sorted by path
}

// A folder is one directory of the tree.
type folder struct {
	path   string // from the root of the cell, "" for it
	files  []*file
	build  string     // name of its BUCK file, "" for none
	taken  bool       // what would be the name of a new BUCK file is a folder
	data   []byte     // of that
	parsed *buildFile // nil where nothing needs it
}

func newTree() *tree { return &tree{folders: map[string]*folder{}} }

// in returns the path of an entry of the folder.
func (f *folder) in(name string) string { return path.Join(f.path, name) }

// owner returns the package that contains a folder: the nearest folder with a
// BUCK file, which may be the folder itself, or nil.
func (t *tree) owner(f *folder) *folder {
	for dir := f.path; ; dir = parent(dir) {
		if f := t.folders[dir]; f != nil && f.build != "" {
			return f
		}
		if dir == "" {
			return nil
		}
	}
}

// parent returns the path of the enclosing folder.
func parent(dir string) string {
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		return dir[:i]
	}
	return ""
}

// below reports whether a path is a folder or inside it.
func below(name, dir string) bool {
	return dir == "" || name == dir || strings.HasPrefix(name, dir) && name[len(dir)] == '/'
}

// matches reports whether a pattern matches a path relative to the root of the
// cell, or a folder above it. Besides the *, ? and [a-z] of [path.Match], **
// stands for any number of folders.
func matches(pattern, name string) bool {
	if !strings.ContainsAny(pattern, `*?[`) {
		return below(name, strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/"))
	}
	return glob.MatchAbove(pattern, name)
}

// skipped lists folders that never contain sources.
var skipped = map[string]bool{".git": true, ".hg": true, ".jj": true, ".sl": true, ".svn": true, "buck-out": true, "node_modules": true}

func (r *run) left(name string) bool {
	for _, list := range [][]string{r.Ignore, r.Exclude} {
		if slices.ContainsFunc(list, func(p string) bool { return matches(p, name) }) {
			return true
		}
	}
	return false
}

// walk finds the .proto files and the BUCK files. It does not follow links to
// folders, because Buck2 finds no packages behind them.
func (r *run) walk(ctx context.Context) error {
	if err := r.visit(ctx, ""); err != nil {
		return err
	}
	slices.SortFunc(r.order, func(a, b *folder) int { return strings.Compare(a.path, b.path) })
	slices.SortFunc(r.files, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	fold := cases.Fold()
	seen := map[string]string{}
	for _, f := range r.files {
		for name := f.path; name != ""; name = parent(name) {
			folded := fold.String(name)
			other, ok := seen[folded]
			if !ok {
				seen[folded] = name
				continue
			}
			if other != name {
				r.problems.add(name, "rename one of the two, or leave one of them alone: exclude in [buckify]", "%s is the same but for capitals, which not every machine can tell apart", other)
			}
			break
		}
	}
	return nil
}

func (r *run) visit(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(r.Root, filepath.FromSlash(dir)))
	if err != nil {
		return fault.Errorf(fault.Machine, fault.HintOr(err, "make it readable, or leave it alone: exclude in [buckify]"), "reading the folder %s: %w; nothing was written", display(dir), err)
	}
	f := &folder{path: dir}
	r.folders[dir] = f
	r.order = append(r.order, f)
	rank := len(r.BuildFiles)
	for _, e := range entries {
		name := f.in(e.Name())
		switch {
		case e.IsDir():
			f.taken = f.taken || e.Name() == r.BuildFiles[len(r.BuildFiles)-1]
			if !skipped[e.Name()] && !r.left(name) {
				if err := r.visit(ctx, name); err != nil {
					return err
				}
			}
		case slices.Contains(r.BuildFiles, e.Name()):
			if i := slices.Index(r.BuildFiles, e.Name()); i < rank {
				rank, f.build = i, e.Name()
			}
		case strings.HasSuffix(e.Name(), ".proto") && !r.left(name):
			if e.Type() != 0 { // what is no file may be read for ever
				info, err := os.Stat(filepath.Join(r.Root, filepath.FromSlash(name)))
				switch {
				case err != nil:
					r.problems.list = append(r.problems.list, *unreadable(name, err))
					continue
				case info.IsDir():
					continue
				case !info.Mode().IsRegular():
					r.problems.add(name, "remove it, or leave it alone: exclude in [buckify]", "it is no regular file")
					continue
				}
			}
			p := &file{path: name, folder: f}
			f.files = append(f.files, p)
			r.files = append(r.files, p)
		}
	}
	return nil
}

// display formats a path for people.
func display(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// read reads all files concurrently.
func (r *run) read(ctx context.Context) error {
	var mu sync.Mutex
	add := func(p problem) {
		mu.Lock()
		defer mu.Unlock()
		r.problems.list = append(r.problems.list, p)
	}
	buffers := sync.Pool{New: func() any { b := make([]byte, protofile.Chunk); return &b }}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	const batch = 64 // a goroutine for each file costs more than the small ones
	for files := range slices.Chunk(r.files, batch) {
		g.Go(func() error {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			for _, f := range files {
				if err := ctx.Err(); err != nil {
					return err
				}
				if p := r.scanFile(f, *buf); p != nil {
					add(*p)
				}
			}
			return nil
		})
	}
	for folders := range slices.Chunk(r.order, batch) {
		g.Go(func() error {
			for _, f := range folders {
				if err := ctx.Err(); err != nil {
					return err
				}
				if p := r.readBuild(f); p != nil {
					add(*p)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func unreadable(where string, err error) *problem {
	hint := "correct or remove " + where + ", or leave it alone: exclude in [buckify]"
	if errors.Is(err, fs.ErrPermission) {
		hint = "make it readable: chmod u+r " + where + ", or leave it alone: exclude in [buckify]"
	}
	return &problem{class: fault.Machine, where: where, hint: hint, err: err}
}

// scanFile reads a .proto file.
func (r *run) scanFile(f *file, buf []byte) *problem {
	name := filepath.Join(r.Root, filepath.FromSlash(f.path))
	if bad := badName(f.path); bad != "" {
		return &problem{class: fault.Usage, where: plain.Row(f.path), message: "its path " + bad + ", which no target can have", hint: "rename it, or leave it alone: exclude in [buckify]"}
	}
	in, err := os.Open(name)
	if err != nil {
		return unreadable(f.path, err)
	}
	defer in.Close()
	limit := &io.LimitedReader{R: in, N: input.MaxSize + 1}
	f.File, err = protofile.Scan(limit, buf)
	if limit.N <= 0 {
		return &problem{class: fault.Usage, where: f.path, message: "it has more than 64 MiB", hint: "divide it, or leave it alone: exclude in [buckify]"}
	}
	var bad *protofile.SyntaxError
	if errors.As(err, &bad) {
		return &problem{class: fault.Usage, where: plain.Row(f.path) + placed(bad.Line, bad.Col), message: bad.Message, hint: bad.Hint}
	}
	if err != nil {
		return unreadable(f.path, err)
	}
	return nil
}

// badName says what in a file's path Buck2 does not accept.
func badName(name string) string {
	if plain.Row(name) != name {
		return "has characters that are not printable"
	}
	if i := strings.IndexAny(name, `\:[]#?*"`); i >= 0 {
		return "has the character " + name[i:i+1]
	}
	return ""
}

// readBuild reads the BUCK file of a folder. It parses the file if it may be
// edited, or if it has targets with .proto files.
func (r *run) readBuild(f *folder) *problem {
	if f.build == "" {
		return nil
	}
	where := f.in(f.build)
	data, err := input.File(filepath.Join(r.Root, filepath.FromSlash(where)))
	if err != nil {
		return unreadable(where, err)
	}
	packages := r.Packages != nil && !r.Packages.Elsewhere && r.Packages.Folder == f.path
	if len(f.files) == 0 && !packages && !bytes.Contains(data, []byte("proto_library")) {
		return nil
	}
	f.data = data
	parsed, bad := parseBuild(where, data)
	if bad != nil {
		return bad
	}
	f.parsed = parsed
	return nil
}
