package checksums

import (
	"strings"
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
		p.alone = append(p.alone, r.digests...)
	}
}

// separate ends the record before a line that begins another one.
func (p *sumParser) separate(line string) {
	if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "- ") {
		p.endRecord()
	}
}

// entitle takes a line without a digest as the name of the record: behind a key for
// names, as in JSON, or before a colon that ends the line.
func (p *sumParser) entitle(line string, w sumWords) {
	key, value, _ := strings.Cut(strings.Replace(strings.TrimPrefix(line, "- "), "=", ":", 1), ":")
	key, value = strings.ToLower(strings.Trim(key, " \"'")), strings.Trim(value, " \"',")
	switch named := naming[key] && value != ""; {
	case named, strings.HasSuffix(line, ":") && (w.ours && w.left == 0 || looksLikeFile(line)):
		if p.record.known {
			p.endRecord()
		}
		p.record.known = true
		p.record.ours = named && p.is(value, false) || !named && w.ours && w.left == 0
	}
}

// looksLikeFile reports whether a word of a line has a dot within it.
func looksLikeFile(line string) bool {
	for _, word := range strings.Fields(line) {
		word = strings.Trim(word, ".:,\"'`")
		if i := strings.LastIndexByte(word, '.'); i > 0 && i < len(word)-1 {
			return true
		}
	}
	return false
}
