package syntax

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// AddHint is the hint for a plugin that is not there.
func AddHint(spec string) string {
	if spec == "" || strings.ContainsFunc(spec, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) || strings.HasSuffix(spec, "@") {
		return "write the name of one of them"
	}
	return "run: lockgen add " + spec
}

// Expanded refuses a path that begins with what a shell would have replaced: ~,
// a variable such as $HOME or ${HOME}, or %LOCALAPPDATA%. Shells leave it alone in
// quotes and in --flag=~/folder. What names the path in messages; prefix is what
// stands before it.
func Expanded(what, prefix, path string) error {
	first, rest := path, ""
	if i := strings.IndexAny(path, `/\`); i >= 0 {
		first, rest = path[:i], path[i+1:]
	}
	variable := strings.HasPrefix(first, "$") || len(first) > 2 && first[0] == '%' && first[len(first)-1] == '%'
	if first != "~" && !variable {
		return nil
	}
	hint := "write the whole path"
	if home, err := os.UserHomeDir(); err == nil && (first == "~" || strings.Trim(first, "${}") == "HOME") {
		hint = "write " + prefix + filepath.Join(home, rest)
	}
	return fault.Errorf(fault.Usage, hint+"; if there is a folder of that name, write "+prefix+"./"+path, "%s: %s begins with %s, which no shell has replaced", what, path, first)
}
