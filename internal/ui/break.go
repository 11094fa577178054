package ui

import "strings"

// breakLine breaks a message between words, so that it fits a terminal of some
// columns; 0 columns means no limit. The first line is preceded by that many columns
// of other text, the others are indented by four spaces. A line that begins with a
// space or has a tab keeps its layout. A command after a colon, as in "run: lockgen
// update", stays on one line if it fits, so that it can be copied.
func breakLine(line string, columns, before int) []string {
	if columns == 0 || before+width(line) <= columns || strings.HasPrefix(line, " ") || strings.Contains(line, "\t") {
		return []string{line}
	}
	const indent = 4
	var parts []string
	part, room := "", columns-before
	for _, unit := range units(line) {
		words := []string{unit}
		if width(unit) > columns-indent {
			words = strings.Split(unit, " ")
		}
		for _, word := range words {
			switch {
			case part == "" && len(parts) == 0:
				part = word
			case width(part)+1+width(word) <= room:
				part += " " + word
			default:
				parts = append(parts, part)
				part, room = word, columns-indent
			}
		}
	}
	return append(parts, part)
}

// units splits a line into words and whole commands.
func units(line string) []string {
	var list []string
	command := false
	for i, word := range strings.Split(line, " ") {
		if i > 0 && command {
			list[len(list)-1] += " " + word
		} else {
			list = append(list, word)
		}
		switch {
		case strings.HasSuffix(word, ":"):
			command = false
		case i > 0 && !command && strings.HasSuffix(list[max(0, len(list)-2)], ":") && program(word):
			command = true
		}
		if strings.HasSuffix(word, ";") || strings.HasSuffix(word, ",") || strings.HasSuffix(word, ")") {
			command = false
		}
	}
	return list
}

// program reports whether a word after a colon begins a command.
func program(word string) bool {
	switch word {
	case "lockgen", "fetch", "buck2", "npm", "pip", "go", "cargo", "export", "git", "protoc":
		return true
	}
	return false
}
