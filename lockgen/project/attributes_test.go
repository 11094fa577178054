package project

import "testing"

func TestAttributed(t *testing.T) {
	const line = "plugins.lock.toml text eol=lf\n"
	for text, want := range map[string]bool{
		line:                              true,
		"*.toml text eol=crlf\n" + line:   true,
		line + "*.toml text eol=crlf\n":   false,
		line + "* eol=crlf\n":             false,
		line + "*.txt eol=crlf\n":         true,
		line + "*.toml linguist-vendored": true,
	} {
		if got := attributed([]byte(text), "plugins.lock.toml"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
