package pkgmgr

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Tarball is one locked package file of npm, already verified, and the
// folder where it belongs.
type Tarball struct {
	Path      string // as in the lock: "node_modules/a/node_modules/@b/c"
	Name      string // of the package, which may differ from the folder's
	Version   string //
	File      string // the tarball on this machine, under any name
	Integrity string // "sha512-…", the digest that npm itself compares
}

// Install makes dir/node_modules with `npm ci` out of these tarballs and
// nothing else: offline, without install scripts, without anything of the
// user's configuration, and also for another platform than this one. Dir must
// exist and be empty; a failure leaves it empty.
//
// The folder then holds exactly what a plain unpacking of the tarballs holds:
// executable are the files that are so in the tarball and those that [Bins]
// names. It is the caller's to compare it with the lock, for npm accepts in
// silence much that is wrong.
//
// A tarball that does not have its integrity is an error of class Integrity;
// every other failure of npm is one of class Machine.
func (n *NPM) Install(ctx context.Context, dir string, pkgs []Tarball) (err error) {
	if err := n.check(); err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty, npm ci needs a fresh folder", dir)
	}
	home := filepath.Join(dir, ".npm-home")
	defer func() {
		remove := []string{home, filepath.Join(dir, "package.json"), filepath.Join(dir, "package-lock.json")}
		if err != nil {
			remove = append(remove, filepath.Join(dir, "node_modules"))
		}
		for _, name := range remove {
			if e := os.RemoveAll(name); err == nil {
				err = e
			}
		}
	}()
	if err := writeProject(dir, home, pkgs); err != nil {
		return err
	}
	args := []string{
		n.cli, "ci", "--offline", "--ignore-scripts", "--allow-git=none", "--allow-file=all", "--bin-links=false",
		"--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--logs-max=0", "--loglevel=error",
		// Else npm looks above dir for a project that dir is a workspace of,
		// and takes its .npmrc.
		"--workspaces=false",
	}
	env := append(privateEnv(home),
		// npm refuses one file for both, /dev/null as well.
		"npm_config_userconfig="+filepath.Join(home, "user"),
		"npm_config_globalconfig="+filepath.Join(home, "global"),
		"npm_config_cache="+filepath.Join(home, "cache"),
		"npm_config_registry=http://127.0.0.1:9/",
	)
	_, err = command{
		name: "npm ci", path: n.node, args: args, dir: dir, env: env, offline: true, class: fault.Machine,
		mend: "use another manager, or none: BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1",
	}.run(ctx)
	var exit *exitError
	if errors.As(err, &exit) && strings.Contains(exit.tail, "EINTEGRITY") {
		return fault.Errorf(fault.Integrity, "", "%w", err)
	}
	if err != nil {
		return err
	}
	return normalise(ctx, dir, pkgs)
}

// writeProject writes the package.json and the package-lock.json (version 3)
// that make npm put every tarball at its path. npm prunes what nothing depends
// on and checks that the two files agree, so every package becomes a
// dependency, at its exact version, of the folder that it lies in. What the
// packages themselves say of dependencies, platforms and engines is left out:
// that was settled at lock time.
func writeProject(dir, home string, pkgs []Tarball) error {
	if err := os.MkdirAll(filepath.Join(home, "empty"), 0o700); err != nil {
		return err
	}
	for _, name := range []string{"user", "global"} {
		if err := os.WriteFile(filepath.Join(home, name), nil, 0o600); err != nil {
			return err
		}
	}
	type entry struct {
		Name         string            `json:"name"`
		Version      string            `json:"version"`
		Resolved     string            `json:"resolved,omitempty"`
		Integrity    string            `json:"integrity,omitempty"`
		Dependencies map[string]string `json:"dependencies,omitempty"`
	}
	root := &entry{Name: "tree", Version: "0.0.0", Dependencies: map[string]string{}}
	packages := map[string]*entry{"": root}
	for i, p := range pkgs {
		if err := p.validate(); err != nil {
			return err
		}
		if packages[p.Path] != nil {
			return fault.Errorf(fault.Lock, "", "npm package folder %s occurs twice", p.Path)
		}
		// npm knows a tarball by its suffix.
		file := filepath.Join(home, strconv.Itoa(i)+".tgz")
		if err := place(p.File, file); err != nil {
			return err
		}
		packages[p.Path] = &entry{
			Name: p.Name, Version: p.Version, Integrity: p.Integrity,
			Resolved: "file:" + path.Join(filepath.Base(home), filepath.Base(file)),
		}
	}
	for _, p := range pkgs {
		parent, folder := split(p.Path)
		in := packages[parent]
		if in == nil {
			return fault.Errorf(fault.Lock, "run: lockgen update", "npm package folder %s lies in %s, where no package is locked", p.Path, parent)
		}
		if in.Dependencies == nil {
			in.Dependencies = map[string]string{}
		}
		in.Dependencies[folder] = p.Version
		if folder != p.Name {
			in.Dependencies[folder] = "npm:" + p.Name + "@" + p.Version
		}
	}
	for name, value := range map[string]any{
		"package.json": root,
		"package-lock.json": map[string]any{
			"name": root.Name, "version": root.Version, "lockfileVersion": 3, "requires": true, "packages": packages,
		},
	} {
		data, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p Tarball) validate() error {
	err := lock.CheckPath(p.Path)
	parent, folder := split(p.Path)
	switch {
	case err != nil:
	case folder == "" || (parent == "" && p.Path != "node_modules/"+folder) || strings.HasPrefix(folder, "."):
		err = fmt.Errorf("path %q is not of the form node_modules/NAME", p.Path)
	case lock.CheckVersion(p.Version) != nil:
		err = lock.CheckVersion(p.Version) // npm would take a URL here
	case lock.CheckPath("node_modules/"+p.Name) != nil || !isName(p.Name):
		err = fmt.Errorf("name %q is not one of npm", p.Name)
	case !strings.HasPrefix(p.Integrity, "sha512-"):
		// npm takes one without any, or with sha1 alone, as it comes.
		err = fmt.Errorf("integrity %q is not of the form sha512-…", p.Integrity)
	}
	if err != nil {
		return fault.Errorf(fault.Lock, "run: lockgen update", "npm package %s %s: %w", p.Name, p.Version, err)
	}
	return nil
}

// split cuts the path of a package into that of the package around it, "" at
// the top, and the folder's name: "@scope/name" or "name".
func split(p string) (parent, folder string) {
	const modules = "node_modules/"
	i := strings.LastIndex("/"+p, "/"+modules)
	if i < 0 {
		return "", ""
	}
	folder = p[i+len(modules):]
	if slashes := strings.Count(folder, "/"); slashes > 1 || (slashes == 1) != strings.HasPrefix(folder, "@") {
		return "", ""
	}
	return strings.TrimSuffix(p[:i], "/"), folder
}

// isName accepts "name" and "@scope/name".
func isName(name string) bool {
	parent, folder := split("node_modules/" + name)
	return parent == "" && folder == name && !strings.HasPrefix(name, ".")
}

// normalise takes away what npm adds of its own and undoes what it renames.
func normalise(ctx context.Context, dir string, pkgs []Tarball) error {
	modules := filepath.Join(dir, "node_modules")
	for _, name := range []string{".package-lock.json", ".bin"} {
		if err := os.RemoveAll(filepath.Join(modules, name)); err != nil {
			return err
		}
	}
	// npm writes a .gitignore as .npmignore, or drops it where there is one
	// already. So only a package with a .npmignore needs a second look.
	again := map[string]bool{}
	err := filepath.WalkDir(modules, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != ".npmignore" {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		again[owner(filepath.ToSlash(rel), pkgs)] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range pkgs {
		manifest, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(p.Path), "package.json"))
		if err != nil {
			return fault.Errorf(fault.Machine, "", "npm ci ended well but left out %s: %w", p.Path, err)
		}
		// npm makes some of the files in "directories.bin" executable: of those
		// with the same name in two folders, one.
		if again[p.Path] || bytes.Contains(manifest, []byte(`"directories"`)) {
			if err := restore(ctx, dir, p, pkgs, manifest); err != nil {
				return fmt.Errorf("npm package %s %s: %w", p.Name, p.Version, err)
			}
		}
	}
	return nil
}

// owner returns the path of the package that a file belongs to.
func owner(file string, pkgs []Tarball) string {
	best := ""
	for _, p := range pkgs {
		if len(p.Path) > len(best) && strings.HasPrefix(file, p.Path+"/") {
			best = p.Path
		}
	}
	return best
}

// restore makes the .gitignore and .npmignore files and the executable bits of
// an installed package those of its tarball, and of its "bin".
func restore(ctx context.Context, dir string, p Tarball, pkgs []Tarball, manifest []byte) error {
	root, err := os.OpenRoot(filepath.Join(dir, filepath.FromSlash(p.Path)))
	if err != nil {
		return err
	}
	defer root.Close()
	bins, err := Bins(manifest)
	if err != nil {
		return err
	}
	executable := map[string]bool{}
	for _, file := range bins {
		executable[file] = true
	}
	inside := map[string]bool{} // the ignore files of the tarball
	err = eachFile(ctx, p.File, func(name string, h *tar.Header, body io.Reader) error {
		mode := fs.FileMode(0o644)
		if h.Mode&0o111 != 0 || executable[name] {
			mode = 0o755
		}
		if base := path.Base(name); base == ".gitignore" || base == ".npmignore" {
			inside[name] = true
			root.Remove(name)
			f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
			if err != nil {
				return err
			}
			if _, err := io.Copy(f, body); err != nil {
				f.Close()
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
		return root.Chmod(name, mode)
	})
	if err != nil {
		return err
	}
	var extra []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		// What lies deeper may belong to a nested package.
		if err == nil && d.Name() == ".npmignore" && !inside[name] && owner(p.Path+"/"+name, pkgs) == p.Path {
			extra = append(extra, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range extra {
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// eachFile calls f for every regular file of a tarball that npm has unpacked,
// by its path in the package. The bytes were verified, by npm as well, and were
// unpacked strictly at lock time.
func eachFile(ctx context.Context, file string, f func(name string, h *tar.Header, body io.Reader) error) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	gz, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	for tr := tar.NewReader(gz); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, ok := strings.Cut(path.Clean(h.Name), "/")
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := f(name, h, tr); err != nil {
			return err
		}
	}
}
