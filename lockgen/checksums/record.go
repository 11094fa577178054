package checksums

import (
	"slices"
	"strings"
	"unicode"
)

// A record is what several lines say of one file: its name in one, its digests in
// others.
//
//	name: gen.tar.gz            SHA256 hash of gen.tar.gz:
//	sha256: HEX                 HEX
//
// It ends at an empty line, at the mark of an item of a list or of a table, and with
// the name or the digest of the next.
type record struct {
	known, ours bool // it has a name; it is that of the file looked for
	digests     []sumLine
}

// add takes a digest that stands alone in its line.
func (r *record) add(p *sumParser, d sumLine) {
	for _, other := range r.digests {
		if len(other.hex) == len(d.hex) && r.known {
			p.endRecord()
			break
		}
	}
	r.digests = append(r.digests, d)
}

// endRecord says whose the digests of the record are. Without a name they are those
// of a file that nobody names.
func (p *sumParser) endRecord() {
	r := p.record
	p.record = record{}
	switch {
	case r.known && r.ours:
		p.named = append(p.named, r.digests...)
	case r.known && !p.single:
		p.others += len(r.digests)
	default:
		p.nameless = append(p.nameless, r.digests...)
	}
}

// separate ends the record before a line that begins another one.
func (p *sumParser) separate(line string) {
	if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "- ") {
		p.endRecord()
	}
}

// entitle takes a line without a digest as the name of the record: behind a word for
// names, as in JSON, before a colon that ends the line, or in the brackets of a section.
func (p *sumParser) entitle(line string) {
	key, names := false, []string(nil)
	for _, word := range wordsOf(line) {
		switch lower := strings.ToLower(word); {
		case naming[lower]:
			key = true
		case decoration[lower] || algorithmWord(word) || !strings.ContainsFunc(word, unicode.IsLetter):
		default:
			names = append(names, word)
		}
	}
	ours := slices.ContainsFunc(names, func(word string) bool { return p.is(word, false) })
	file := slices.ContainsFunc(names, looksLikeFile)
	switch {
	case len(names) != 1:
		return
	case key, ours && strings.HasSuffix(line, ":"), file && strings.HasSuffix(line, ":"), (ours || file) && strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
		if p.record.known {
			p.endRecord()
		}
		p.record.known, p.record.ours = true, ours
	}
}

func algorithmWord(word string) bool {
	_, ok := algorithms[normal(word)]
	return ok
}

// looksLikeFile reports whether a word has a dot within it.
func looksLikeFile(word string) bool {
	i := strings.LastIndexByte(word, '.')
	return i > 0 && i < len(word)-1
}
