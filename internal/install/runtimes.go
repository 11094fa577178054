package install

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

// Library writes one library of a runtime on a platform into a file that is not there
// yet: the locked file with that key, for Go the folder that it becomes, or for Python
// the wheel of that project. Several wheels for different interpreters become one, see
// [wheel.Merge]. The bytes are compared with the lock while they are copied.
func (i *Installer) Library(ctx context.Context, e *lock.Entry, platform, library, name string) error {
	if !e.Locked.IsRuntime() {
		return fault.Errorf(fault.Usage, "leave out --library", "%s is no runtime", e)
	}
	_, served, err := e.Locked.Cell(platform)
	if err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	libraries := librariesOf(e.Locked, served)
	keys := libraries[library]
	if len(keys) == 0 {
		return fault.Errorf(fault.Usage, "run: lockgen explain "+e.Name, "%s has no library %q on %s; it has %s", e, library, platform, strings.Join(slices.Sorted(maps.Keys(libraries)), ", "))
	}
	locked := *e.Locked
	locked.Files = map[string]lock.File{}
	one := *e
	one.Locked = &locked
	var missing []string
	for _, key := range keys {
		locked.Files[key] = e.Locked.Files[key]
		if i.Offline && i.Given[key] == "" && !i.here(e, key) && (i.Local == nil || !i.Local(ctx, e, key)) {
			missing = append(missing, locked.Files[key].Label(key))
		}
	}
	if len(missing) > 0 {
		return i.offline(missing)
	}
	if len(e.Locked.Folders) > 0 { // of a module, with its packages, or of a crate
		if err = os.Mkdir(name, 0o755); err == nil {
			_, err = i.unpack(ctx, &one, served, name, new(work))
		}
		if err == nil && e.Locked.Kind().Compiled {
			err = checkCrate(e, library, name)
		} else if err == nil {
			err = checkPackages(e, library, name)
		}
	} else {
		var parts []part
		if parts, err = i.unpack(ctx, &one, served, "", new(work)); err == nil {
			err = i.wheel(e.Locked, parts, name)
		}
	}
	if err != nil {
		return fmt.Errorf("%s for %s: %w", e, platform, err)
	}
	return nil
}

// checkPackages compares the packages that the lock says a module of Go has with the
// unpacked ones: Buck2 declares its targets from those in the lock.
func checkPackages(e *lock.Entry, key, dir string) error {
	v := e.Locked
	packages := map[string]lock.Folder{}
	for at, folder := range v.Folders {
		if v.ModuleOf(at) == key {
			packages[at] = folder
		}
	}
	var platforms []lock.Platform
	for name, cell := range v.Platforms {
		if p, ok := lock.LookupPlatform(name); ok && cell.Unavailable == "" && cell.Emulate == "" {
			platforms = append(platforms, p)
		}
	}
	module := v.Files[key]
	if err := gotool.CheckPackages(filepath.Join(dir, filepath.FromSlash(module.Name+"@v"+module.Version)), module.Name, packages, platforms); err != nil {
		return fault.Errorf(fault.Lock, "restore the lock, or run: lockgen update "+e.Name, "%s: %w", module.Label(key), err)
	}
	return nil
}

// checkCrate compares how the lock says that a crate is compiled with the unpacked one,
// as [checkPackages] does.
func checkCrate(e *lock.Entry, key, dir string) error {
	at := strings.TrimSuffix(key, ".crate")
	locked := e.Locked.Folders[at]
	differs := func(format string, args ...any) error {
		return fault.Errorf(fault.Lock, "restore the lock, or run: lockgen update "+e.Name, "crate %s "+format, append([]any{at}, args...)...)
	}
	for _, file := range []string{cmp.Or(locked.Root, crate.Root), locked.Script} {
		if info, err := os.Stat(filepath.Join(dir, at, filepath.FromSlash(file))); file != "" && (err != nil || !info.Mode().IsRegular()) {
			return differs("has no file %s, which the lock has", file)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, at, "Cargo.toml"))
	if err != nil {
		return err
	}
	var of struct {
		Package, Lib struct{ Edition any } // one of a workspace is a table
	}
	if _, err := tomlscan.Decode(string(text), &of); err != nil {
		return fmt.Errorf("crate %s: its Cargo.toml: %w", at, err)
	}
	if own, ok := cmp.Or(of.Lib.Edition, of.Package.Edition, any("2015")).(string); ok && own != locked.Edition {
		return differs("is of edition %s, and the lock says %s", own, locked.Edition)
	}
	return nil
}

// librariesOf are the keys of the files of each library: a wheel for each interpreter,
// else one file, whose key it is called by.
func librariesOf(v *lock.Version, platform string) map[string][]string {
	if v.Kind().Wheels {
		return wheel.ByProject(v, platform)
	}
	libraries := map[string][]string{}
	for _, key := range v.FilesFor(platform) {
		libraries[key] = []string{key}
	}
	return libraries
}

// wheel writes one wheel of those of a library.
func (i *Installer) wheel(v *lock.Version, parts []part, name string) (err error) {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	if len(parts) == 1 {
		_, err = verified(parts[0].path, v.Files[parts[0].key], out)
		return err
	}
	var ours []wheel.Part
	for _, p := range parts {
		ours = append(ours, wheel.Part{Wheel: p.key, Files: within(p.files, v.Files[p.key].Roots()[0])})
	}
	take, err := wheel.Merge(ours)
	if err != nil {
		return fault.Errorf(fault.Lock, "run: lockgen update", "%w", err)
	}
	z := zip.NewWriter(out)
	for n, p := range parts {
		if err := copyEntries(z, p, v.Files[p.key], take[n]); err != nil {
			return fmt.Errorf("%s: %w", p.key, err)
		}
	}
	return z.Close()
}

// copyEntries copies some of the files in a wheel, as they are packed.
func copyEntries(z *zip.Writer, p part, locked lock.File, take map[string]bool) error {
	f, err := verified(p.path, locked, io.Discard)
	if err != nil {
		return err
	}
	in, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := zip.NewReader(in, f)
	if err != nil {
		return err
	}
	for _, entry := range r.File {
		if take[entry.Name] {
			if err := z.Copy(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// verified copies a file of the cache whose bytes are those of the lock, and returns
// how many they are.
func verified(name string, locked lock.File, to io.Writer) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, h), f)
	if err != nil {
		return n, err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != locked.SHA256 {
		return n, fault.Errorf(fault.Integrity, "see what is damaged, and remove it: fetch cache verify --repair", "%s in the cache has sha256 %s, expected %s", name, got, locked.SHA256)
	}
	return n, nil
}

// within are the files below a root, by their paths in it.
func within(files []archive.File, root string) (list []archive.File) {
	if root == "" {
		return files
	}
	for _, f := range files {
		if below, ok := strings.CutPrefix(f.Path, root+"/"); ok {
			f.Path = below
			list = append(list, f)
		}
	}
	return list
}
