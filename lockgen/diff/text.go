package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// Text prints a lock in short lines, for diffs.
func Text(l *lock.Lock) string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema %d\n", l.Schema)
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			v := l.Plugins[name][version]
			fmt.Fprintf(&b, "\n%s %s\n", name, version)
			fields(&b, "  ", *v)
			for _, platform := range slices.Sorted(maps.Keys(v.Platforms)) {
				fmt.Fprintf(&b, "  %s\n", platform)
				fields(&b, "    ", v.Platforms[platform])
			}
			for _, key := range slices.Sorted(maps.Keys(v.Files)) {
				fmt.Fprintf(&b, "  %s\n", plain.Row(key))
				fields(&b, "    ", v.Files[key])
			}
		}
	}
	return b.String()
}

// fields writes all keys of a table that are not tables, one per line. A key
// that is missing here would not show up in diffs.
func fields(b *strings.Builder, indent string, table any) {
	of := reflect.ValueOf(table)
	for _, f := range reflect.VisibleFields(of.Type()) {
		key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch value := of.FieldByIndex(f.Index); {
		case value.IsZero(), value.Kind() == reflect.Map, f.Anonymous: // whose fields follow
		case value.Kind() == reflect.Slice:
			for _, s := range value.Interface().([]string) {
				fmt.Fprintf(b, "%s%s %s\n", indent, key, plain.Row(s))
			}
		default:
			fmt.Fprintf(b, "%s%s %s\n", indent, key, plain.Row(fmt.Sprint(value.Interface())))
		}
	}
}
