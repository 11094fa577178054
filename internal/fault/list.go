package fault

import (
	"fmt"
	"slices"
	"strings"
)

// List sorts names for a message and joins the first few: "a, b, c", or "nothing".
func List(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if more := len(names) - 8; more > 1 {
		return strings.Join(names[:8], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
