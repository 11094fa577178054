package plain

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Hostile is text of every kind that may not be printed as it is.
var hostile = []string{
	"\x1b[31m", "\x1b]0;title\x07", "\x00", "\r", "\b", "\v", "\f", "\x7f", // C0 and DEL
	"\u0085", "\u009b31m", "\u009d0;x\u009c", // C1, as characters
	"\x9b31m", "\xff", "\xc3", "\xed\xa0\x80", // bytes that are no text
	"\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", // what reorders
	"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u3164", "\u180e", // what shows nothing
	"\ufe0f", "\U000e0100", "\U000e0001", "\U000e0041", "\U000e007f", // selectors and tags
	"\u2028", "\u2029", "\u00a0", "\u3000", // lines and spaces
	"\ue000", "\U000f0000", "\U0010ffff", "\uffff", "\u0378", "\ufffd", // private, unassigned
}

func TestHostile(t *testing.T) {
	for _, h := range hostile {
		text := "a" + h + "b"
		got := Escape(text)
		for _, r := range got {
			if !Printable(r) {
				t.Errorf("Escape(%+q) = %+q holds %+q", text, got, r)
			}
		}
		if line := Line(text, 100); strings.ContainsFunc(line, func(r rune) bool { return !Printable(r) }) {
			t.Errorf("Line(%+q) = %+q", text, line)
		}
		if !strings.Contains(got, `\`) {
			t.Errorf("Escape(%+q) = %+q says nothing of it", text, got)
		}
		raw, err := json.Marshal(map[string]string{"x": text})
		if err != nil {
			t.Fatal(err)
		}
		safe := JSON(raw)
		for _, r := range string(safe) {
			if !Printable(r) {
				t.Errorf("JSON of %+q = %+q", text, safe)
			}
		}
		var before, after map[string]string
		if err := json.Unmarshal(raw, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(safe, &after); err != nil || before["x"] != after["x"] {
			t.Errorf("JSON of %+q means %+q: %v", text, after["x"], err)
		}
		if utf8.ValidString(h) && after["x"] != text {
			t.Errorf("JSON of %+q means %+q", text, after["x"])
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, s := range []string{
		"", "ASCII ~!@#", "é", "e\u0301", "日本語", "Ελληνικά", "עברית", "العربية", "हिन्दी", "→ … “x” 💡", "tab\tand\nline",
	} {
		if got := Escape(s); got != s {
			t.Errorf("Escape(%q) = %q", s, got)
		}
	}
	for in, want := range map[string]string{
		"\x1b[0m": `\u001b[0m`, "\U000e0041": `\U000e0041`, "\x9b": `\x9b`, "é\x9b": `é\x9b`, "\ufffd": `\ufffd`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%+q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 5, ""},
		{"  a \n\t b ", 5, "a b"},
		{"abcdef", 3, "abc…"},
		{"abc", 3, "abc"},
		{"ab cd", 2, "ab…"},
		{"éééé", 3, "ééé…"}, // by characters, not bytes
		{"\x1b\x1b\x1b", 2, `\u001b\u001b…`},
		{strings.Repeat("日", 400), 300, strings.Repeat("日", 300) + "…"},
		{"a\u2028b\u00a0c", 9, "a b c"}, // they are spaces
	} {
		if got := Line(tt.in, tt.n); got != tt.want {
			t.Errorf("Line(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}
