package pip

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// pythonFacts makes an interpreter print its kind, version and path.
const pythonFacts = `import sys
i = getattr(sys, "implementation", None)
print("\n".join(["free-threaded" if "t" in getattr(sys, "abiflags", "") else i.name if i else "old", "%d.%d" % sys.version_info[:2], sys.executable]))`

// FindPython returns the path of a CPython on this machine with one of the
// versions ("3.12"). If wanted is set, it is the program to use; otherwise the
// first suitable one on PATH of python3, python3.N (newest first), python and
// the launcher py. The user's Python configuration is ignored. If there is
// none, the error is of class [fault.Machine] and says what was found.
func FindPython(ctx context.Context, wanted string, versions []string) (_ string, err error) {
	defer proc.AboutManagers(&err)
	if err := syntax.Expanded("BUCK2_PROTOBUF_PYTHON", "", wanted); err != nil {
		return "", err
	}
	names := []string{wanted}
	if wanted == "" {
		names = []string{"python3"}
		for _, v := range slices.Backward(versions) {
			names = append(names, "python"+v)
		}
		names = append(names, "python", "py")
	}
	var found []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			if wanted != "" {
				found = append(found, err.Error())
			}
			continue
		}
		if names := []string{path}; name == "py" && wanted == "" {
			// The Windows launcher can start each installed version.
			for _, v := range slices.Backward(versions) {
				if program, ok, _, err := askPython(ctx, append(names, "-"+v), versions); err == nil && ok {
					return program, nil
				}
			}
			continue
		}
		program, ok, said, err := askPython(ctx, []string{path}, versions)
		switch {
		case errors.Is(err, context.Canceled):
			return "", err
		case err != nil:
			found = append(found, path+" does not run")
		case ok:
			return program, nil
		default:
			found = append(found, path+" is "+said)
		}
	}
	if len(found) == 0 {
		found = []string{"no python is on PATH"}
	}
	return "", fault.Errorf(fault.Machine,
		fmt.Sprintf("install one of them and, if it is not on PATH, set BUCK2_PROTOBUF_PYTHON=/path/to/python3; or set another version in python of plugins.toml and run: lockgen update (locked: %s)", strings.Join(versions, ", ")),
		"it needs CPython %s, and none was found: %s", strings.Join(versions, ", "), strings.Join(slices.Compact(found), "; "))
}

// askPython runs an interpreter; program is the one behind a shim or launcher.
func askPython(ctx context.Context, python, versions []string) (program string, ok bool, said string, err error) {
	c := proc.Command{
		Name: python[0], Path: python[0], Args: append(slices.Clone(python[1:]), "-I", "-S", "-c", pythonFacts),
		Env: proc.UserEnv(nil), Timeout: 20 * time.Second, Class: fault.Machine,
	}
	out, err := c.Run(ctx)
	if err != nil {
		return "", false, "", err
	}
	facts := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(out), "\r\n", "\n")), "\n")
	if len(facts) != 3 || facts[2] == "" {
		return "", false, "no Python", nil
	}
	ok = facts[0] == "cpython" && slices.Contains(versions, facts[1])
	return facts[2], ok, redact.Line(facts[0] + " " + facts[1]), nil
}
