package cargo

import (
	"context"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Everything that decodes a Cargo.toml or a Cargo.lock refuses what would keep
// the decoder busy for minutes, before it is decoded.
func TestCargoDecoders(t *testing.T) {
	t.Parallel()
	const head = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n"
	for name, hostile := range map[string]string{
		"a key of more than 64 parts": strings.Repeat("a.", 200_000) + "a = 1\n",
		"nested more than 32 deep":    "x = " + strings.Repeat("[", 400_000),
		"too many keys":               "[\"" + strings.Repeat("a", 1<<20) + "\"]\na = 1\nb = 2\nc = 3\n" + strings.Repeat("d = 1\n", 1000),
	} {
		source := &Source{Crate: Crate{Name: "a", Version: "1.0.0"}, Manifest: []byte(head + hostile), Lockfile: []byte("version = 4\n" + hostile)}
		for what, decode := range map[string]func() error{
			"CheckCrate":         func() error { return Check(source) },
			"CrateBins":          func() error { _, err := Bins(source); return err },
			"checkCrateManifest": func() error { return checkCrateManifest(source) },
			"parseCargoLock":     func() error { _, err := parseCargoLock(source.Lockfile); return err },
			"trimmedLock":        func() error { _, err := trimmedLock(source, nil); return err },
			"standIns":           func() error { return crateFolder(t.TempDir()).standIns([]*Source{source}, nil) },
			"CrateIndex.Lock":    func() error { _, _, err := (&Index{}).Lock(context.Background(), source); return err },
			"withoutDevelopment:": func() error {
				_, ok := withoutDevelopment(source.Manifest)
				return map[bool]error{false: fault.Errorf(fault.Integrity, "", "%s", name)}[ok]
			},
		} {
			err := decode()
			if fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %.300v, want class 5 and %q", what, err, name)
			}
		}
	}
}
