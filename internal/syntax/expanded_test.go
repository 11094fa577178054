package syntax

import (
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestExpanded(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	t.Setenv("USERPROFILE", "/home/me")
	for path, hint := range map[string]string{
		"": "", "c": "", "/c": "", "./~/c": "", "a/~": "", "~c": "", "%": "", "%%": "", "50%": "", `C:\~\c`: "",
		"~":                "write x:/home/me; if there is a folder of that name, write x:./~",
		"~/c/d":            "write x:/home/me/c/d; if there is a folder of that name, write x:./~/c/d",
		"$HOME/c":          "write x:/home/me/c; if there is a folder of that name, write x:./$HOME/c",
		"${HOME}/c":        "write x:/home/me/c; if there is a folder of that name, write x:./${HOME}/c",
		"$X/c":             "write the whole path; if there is a folder of that name, write x:./$X/c",
		`%LOCALAPPDATA%\c`: `write the whole path; if there is a folder of that name, write x:./%LOCALAPPDATA%\c`,
	} {
		err := Expanded("the folder", "x:", path)
		if fault.Hint(err) != hint || (err == nil) != (hint == "") || err != nil && fault.Of(err) != fault.Usage {
			t.Errorf("%s: %v; hint %q", path, err, fault.Hint(err))
		}
	}
}
