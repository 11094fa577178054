package fake

import (
	"archive/tar"
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
)

// RustArchive is an archive as Rust publishes it for a target, for its installer.
// programs are the files in its bin, by name. What has bait in its name or content is
// in no sysroot.
func RustArchive(version, target string, programs map[string]string) []byte {
	top := "rust-" + version + "-" + target + "/"
	std := top + "rust-std-" + target + "/"
	files := map[string]string{
		top + "install.sh": "bait", top + "components": "rustc\ncargo\nrust-std-" + target + "\nrust-docs\nclippy-preview\n", top + "version": version, top + "rust-installer-version": "3\n",
		top + "rustc/manifest.in": "bait", top + "rustc/lib/librustc_driver-1.so": "driver", top + "cargo/manifest.in": "bait",
		std + "manifest.in": "bait", std + "lib/rustlib/" + target + "/lib/libstd-1.rlib": "std of " + target,
		top + "rust-docs/manifest.in": "bait", top + "rust-docs/share/doc/rust/html/bait.html": "bait", top + "clippy-preview/bin/bait": "bait",
	}
	for name, text := range programs {
		component := "rustc"
		if strings.HasPrefix(name, "cargo") {
			component = "cargo"
		}
		files[top+component+"/bin/"+name] = text
	}
	var out bytes.Buffer
	x, err := xz.NewWriter(&out)
	must(err)
	w := tar.NewWriter(x)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := int64(0o644)
		if path.Base(path.Dir(name)) == "bin" {
			mode = 0o755
		}
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(files[name])), ModTime: Released}))
		_, err := w.Write([]byte(files[name]))
		must(err)
	}
	must(w.Close())
	must(x.Close())
	return out.Bytes()
}
