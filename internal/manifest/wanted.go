package manifest

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Latest stands for the newest version.
const Latest = "latest"

var (
	digits    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9]+(\.[0-9]+)*`) })
	rangeForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z.+~^<>=!|, -]{1,200}$`) })
)

// IsRange reports whether an entry of [plugins] has a range or the word latest
// instead of an exact version. The meaning of a range depends on the source and
// is defined in lockgen; fetch only knows exact versions.
func IsRange(s string) bool {
	if s == "" {
		return false
	}
	return s == Latest || strings.ContainsAny(s[:1], "^~<>=!") || strings.ContainsAny(s, " |,") || strings.HasSuffix(s, ".x") || strings.Contains(s, ".x.")
}

// CheckWanted checks the version of an entry of [plugins]: an exact version, or
// something in the form of a range. Errors are of class [fault.Usage].
func CheckWanted(s string) error {
	if !IsRange(s) {
		return CheckExact(s)
	}
	if s == Latest || rangeForm().MatchString(s) && digits().MatchString(s) && strings.TrimSpace(s) == s {
		return nil
	}
	return fault.Errorf(fault.Usage, `write "^1.10", "~1.2", ">=1 <3", "1.x" or "latest"`, "%q is not a range", s)
}

// CheckExact accepts an exact version. For a range or a word the error is of
// class [fault.Usage].
func CheckExact(version string) error {
	if version != "" && version[0] >= '0' && version[0] <= '9' && syntax.CheckVersion(version) == nil && !IsRange(version) {
		return nil
	}
	number := digits().FindString(version)
	switch {
	case number != "" && version == "v"+number:
		return fault.Errorf(fault.Usage, fmt.Sprintf("write %q", number), "version %q begins with a v", version)
	case strings.Contains(version, "*"):
		return fault.Errorf(fault.Usage, `write "latest", or a range such as "2.x"`, "version %q is not an exact version", version)
	case IsRange(version):
		example := number
		for example != "" && strings.Count(example, ".") < 2 {
			example += ".0"
		}
		if example == "" {
			example = "2.18.0"
		}
		return fault.Errorf(fault.Usage, fmt.Sprintf("write an exact version, such as %q", example), "version %q is a range", version)
	}
	return fault.Errorf(fault.Usage, `write it as "2.18.0", or as a range: "^2.18", "latest"`, "version %q is not an exact version", version)
}
