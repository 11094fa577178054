package tomlscan

import "bytes"

// MergeMarker returns the number of the first line with a conflict marker of
// git, or 0.
func MergeMarker(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		for _, m := range []string{"<<<<<<< ", ">>>>>>> ", "||||||| "} {
			if bytes.HasPrefix(line, []byte(m)) {
				return n
			}
		}
	}
	return 0
}
