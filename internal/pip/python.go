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
)

// pythonFacts makes an interpreter say what it is: kind, version, program.
const pythonFacts = `import sys
i = getattr(sys, "implementation", None)
print("\n".join(["free-threaded" if "t" in getattr(sys, "abiflags", "") else i.name if i else "old", "%d.%d" % sys.version_info[:2], sys.executable]))`

// FindPython returns the path of a CPython of this machine that is one of the
// versions ("3.12"): the program or command name that is wanted, where it is
// given, else the first on PATH of python3, python3.N (the newest first), python
// and the launcher py. Nothing of the user's configuration of Python counts. None
// is an error of class Machine that says what was found.
func FindPython(ctx context.Context, wanted string, versions []string) (_ string, err error) {
	defer proc.AboutManagers(&err)
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
			// The launcher of Windows starts each version that is installed.
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
		found = []string{"there is no python on PATH"}
	}
	return "", fault.Errorf(fault.Machine,
		fmt.Sprintf("install one of them, and name it where it is not on PATH: BUCK2_PROTOBUF_PYTHON=/path/to/python3; or write another version into python of plugins.toml and run: lockgen update (locked are %s)", strings.Join(versions, ", ")),
		"it runs on CPython %s, and none was found: %s", strings.Join(versions, ", "), strings.Join(slices.Compact(found), "; "))
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
