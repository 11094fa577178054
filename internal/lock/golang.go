package lock

import (
	"errors"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"golang.org/x/mod/module"
)

// GoToolchain is the module that publishes Go itself: it has a version
// v0.0.1-goVERSION.GOOS-GOARCH for each Go version and platform, and no
// dependencies (see cmd/go/internal/modfetch/toolchain.go of Go's source).
const GoToolchain = "golang.org/toolchain"

// GoKey returns the key of a file of kind go: MODULE@vVERSION and the suffix
// "zip" or "mod". Capitals are escaped as in module proxies, since some file
// systems ignore case. Version is without the v. The error for an invalid path
// or version has no class.
func GoKey(path, version, suffix string) (string, error) {
	if err := module.Check(path, "v"+version); err != nil {
		return "", err
	}
	p, err := module.EscapePath(path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion("v" + version)
	if err != nil {
		return "", err
	}
	return p + "@" + v + "." + suffix, nil
}

// IsGo reports whether the version is of Go itself, the toolchain.
func (v *Version) IsGo() bool { return v.Source == Go && v.Package == GoToolchain }

// compiledBy reports whether tool, which may be nil, can be the toolchain of v.
func (v *Version) compiledBy(tool *Version) bool {
	return tool != nil && tool.IsGo() == (v.Source == Go) && !tool.Compiles()
}

// validateGo validates a version of kind go.
func (v *Version) validateGo() error {
	if err := module.CheckPath(v.Package); err != nil {
		return fmt.Errorf("package: %w", err)
	}
	if v.Main != "" {
		if err := syntax.CheckMain(v.Main); err != nil {
			return fmt.Errorf("main: %w", err)
		}
	}
	if v.IsRuntime() {
		return nil
	}
	if toolchain := v.Package == GoToolchain; toolchain && v.Toolchain != "" {
		return errors.New("a toolchain must not have a toolchain")
	} else if !toolchain && !strings.Contains(v.Toolchain, "@") {
		return fmt.Errorf("toolchain %q is not of the form NAME@VERSION", v.Toolchain)
	}
	return nil
}

func validateGoFile(key string, f File) error {
	if f.Name == "" || f.Version == "" {
		return errors.New("name and version are required")
	}
	suffix := "mod"
	if strings.HasSuffix(key, ".zip") {
		suffix = "zip"
	}
	want, err := GoKey(f.Name, f.Version, suffix)
	if err != nil {
		return err
	}
	if key != want {
		return fmt.Errorf("for its name and version, the key must be %q", want)
	}
	if err := checkH1("integrity", f.Integrity); err != nil {
		return err
	}
	if suffix == "zip" {
		return checkH1("gomod", f.GoMod)
	}
	if f.GoMod != "" {
		return errors.New("integrity is that of the go.mod, so gomod is not allowed")
	}
	return nil
}

// checkH1 checks the form of a hash as in go.sum.
func checkH1(field, s string) error {
	if !syntax.IsBase64Of(32, s, "h1:") {
		return fmt.Errorf("%s %q is not of the form h1:… with the base64 of 32 bytes", field, s)
	}
	return nil
}
