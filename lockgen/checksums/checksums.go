// Package checksums reads the checksum files that publishers put beside their
// releases. There is no standard for them: they have the formats of sha256sum,
// shasum, openssl, gpg, certutil, PowerShell and the BSDs, signed or not, as a
// page or not, or are written by hand. A line counts if it has the file's name
// and its SHA-256 or SHA-512, and nothing else that could be meant. So does a
// record of several lines, one of which is the name.
package checksums

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf16"
)

// MaxSize limits the size of a checksum file, in bytes.
const MaxSize = 1 << 20

// Sums are the digests of one file in lower-case hexadecimal. One that the
// checksum file lacks is "".
type Sums struct{ SHA256, SHA512 string }

// ErrNoLine matches the error for a file that the checksum file does not
// mention. It matches [fs.ErrNotExist].
var ErrNoLine error = noLine{}

type noLine struct{}

func (noLine) Error() string        { return "it has no line" }
func (noLine) Is(target error) bool { return target == fs.ErrNotExist }

// Find returns the digests of a file. A line with only a digest counts if there
// is only one file that it can belong to; with single set, that is also true if
// the line has another name. The errors have no class; the one for a file that
// is not mentioned matches ErrNoLine.
func Find(data []byte, name string, single bool) (Sums, error) {
	refuse := func(format string, args ...any) (Sums, error) {
		return Sums{}, fmt.Errorf(format, args...)
	}
	text, err := plainText(data)
	if err != nil {
		return refuse("%w", err)
	}
	p := sumParser{name: name, single: single}
	p.signed.any = strings.Contains("\n"+text, "\n"+signedBegin)
	n := 0
	if docs := jsonDocuments(text); docs != nil {
		for _, doc := range docs {
			p.json(doc, false)
		}
		text = ""
	}
	text = joinGroups(pageText(text))
	for line := range strings.Lines(text) {
		n++
		// A mark within the text was put there by joining files.
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line, ok := p.signed.line(line); ok {
			p.line(n, hexOfBase64(fragment().ReplaceAllString(line, " $1:$2")))
		}
	}
	p.endRecord()
	if p.err != nil {
		return refuse("%w", p.err)
	}
	found := p.named
	if len(found) == 0 && p.others == 0 {
		found = p.nameless
	} else if p.others == 0 && !single {
		found = append(found, p.nameless...)
	}
	var s Sums
	lines := map[int]int{} // by length of the digest
	for _, f := range found {
		to := &s.SHA256
		if len(f.hex) == 128 {
			to = &s.SHA512
		}
		if *to != "" && *to != f.hex && f.line == 0 {
			return refuse("it gives two digests for %s", name)
		} else if *to != "" && *to != f.hex {
			return refuse("lines %d and %d give two digests for %s", lines[len(f.hex)], f.line, name)
		}
		if *to == "" {
			*to, lines[len(f.hex)] = f.hex, f.line
		}
	}
	switch {
	case s != Sums{}:
		return s, nil
	case p.bare == inJSON:
		return refuse("it mentions %s without a SHA-256 or SHA-512", name)
	case p.bare > 0:
		return refuse("line %d mentions %s without a SHA-256 or SHA-512", p.bare, name)
	}
	return s, fmt.Errorf("%w for %s", ErrNoLine, name)
}

// jsonDocuments returns the documents of JSON that a text consists of, such as one
// a line. It returns nil for other text.
func jsonDocuments(text string) (docs []any) {
	if text = strings.TrimSpace(text); !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return nil
	}
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var doc any
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return docs
		} else if err != nil {
			return nil
		}
		docs = append(docs, doc)
	}
}

// fragment is the digest at the end of a URL, as in a simple index of Python.
var fragment = once(`(?i)#(sha-?(?:256|512))=([0-9a-f]{128}|[0-9a-f]{64})\b`)

// plainText decodes UTF-16 with a byte order mark, and the line ends of old Macs.
func plainText(data []byte) (string, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	}
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if order != nil {
		if len(data)%2 != 0 {
			return "", errors.New("it is not valid UTF-16: the last character is incomplete")
		}
		units := make([]uint16, 0, len(data)/2)
		for i := 2; i < len(data); i += 2 {
			units = append(units, order.Uint16(data[i:]))
		}
		text = string(utf16.Decode(units))
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return "", fmt.Errorf("it is not text: NUL byte at offset %d", i)
	}
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, "\r", "\n")
	}
	return text, nil
}

// signedText returns the text of a cleartext-signed message (RFC 9580, 7). What
// is around it is not signed and is ignored.
type signedText struct{ any, head, in bool }

const signedBegin = "-----BEGIN PGP SIGNED MESSAGE-----"

// line returns the text of a line. ok is false if it is not one.
func (s *signedText) line(line string) (text string, ok bool) {
	switch {
	case line == signedBegin:
		s.any, s.head, s.in = true, true, false
		return "", false
	case line == "-----BEGIN PGP SIGNATURE-----":
		s.head, s.in = false, false
		return "", false
	case s.head:
		if line == "" {
			s.head, s.in = false, true
		}
		return "", false
	case s.in:
		return strings.TrimPrefix(line, "- "), true
	}
	return line, !s.any
}

// sumParser collects what the lines say about one file.
type sumParser struct {
	name   string
	single bool
	signed signedText
	record record

	named, nameless []sumLine
	others          int   // lines with the digest of another file
	bare            int   // number of a line with the file's name but no valid digest
	err             error // of the first ambiguous line
}

type sumLine struct {
	line int
	hex  string
}

// inJSON is used in place of a line number in JSON.
const inJSON = -1

// json reads a JSON document. A digest belongs to the file that is the key of
// it or of the object around it, or a value beside it. ours says that it
// belongs to the file we look for, unless the object names another one.
func (p *sumParser) json(v any, ours bool) {
	switch v := v.(type) {
	case string: // only a digest, like a file of one line
		p.value("", v, ours)
	case []any:
		for _, one := range v {
			p.json(one, false)
		}
	case map[string]any:
		named, others := false, false
		for key, value := range v {
			if text, ok := value.(string); ok && naming[strings.ToLower(key)] {
				named, others = named || p.is(text, false), true
			}
		}
		if others {
			ours = named
		}
		for key, value := range v {
			if text, ok := value.(string); ok {
				p.value(key, text, ours || p.is(key, false))
				continue
			}
			p.json(value, ours || p.is(key, false))
		}
	}
}

// naming lists the keys whose values are file names in JSON.
var naming = map[string]bool{"name": true, "file": true, "filename": true, "file_name": true, "path": true, "asset": true, "url": true}

// value reads a string of JSON, if it is a digest.
func (p *sumParser) value(key, text string, ours bool) {
	for _, word := range strings.Fields(text) { // integrity may be several
		p.digest(key, word, ours)
	}
}

// digest takes a word of a string of JSON, if it is a digest.
func (p *sumParser) digest(key, word string, ours bool) {
	if _, known := algorithms[normal(key)]; known && !strings.Contains(word, ":") && !base64Digest().MatchString(word) {
		word = key + ":" + word
	}
	hex, foreign := digestOf(hexOfBase64(word))
	switch {
	case hex == "" && foreign && ours:
		p.bare = inJSON
	case hex == "":
	case ours:
		p.named = append(p.named, sumLine{0, hex})
	case p.single:
		p.nameless = append(p.nameless, sumLine{0, hex})
	default:
		p.others++
	}
}

// line reads one line.
func (p *sumParser) line(n int, line string) {
	if line == "" {
		p.endRecord()
	}
	if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") || p.err != nil {
		return
	}
	// sha256sum starts a line with a backslash if it escaped the name.
	rest, escaped := strings.CutPrefix(line, `\`)
	if word, file, ok := gnu(rest); ok {
		if escaped {
			file = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(file)
		} else if !p.is(file, false) {
			file = p.uncommented(file)
			// A size may be before the name, or behind it.
			if w := p.count(file); w.ours && w.left == 0 && len(w.digests) == 0 && !w.foreign {
				file = p.name
			}
		}
		p.found(n, file, escaped, "", word)
		return
	}
	if alg, file, word, ok := tagged(rest); ok {
		p.found(n, file, escaped, alg, word)
		return
	}
	// Manifest of Gentoo has the kind of file first.
	p.words(n, p.uncommented(strings.TrimPrefix(line, "DIST ")))
}

// uncommented is a line without the comment behind it.
func (p *sumParser) uncommented(line string) string {
	for _, mark := range []string{"#", "//", ";"} {
		for from := 0; ; {
			i := strings.Index(line[from:], mark)
			if i < 0 {
				break
			}
			i += from
			if i > 0 && unicode.IsSpace(rune(line[i-1])) && !strings.Contains(p.name, " "+mark) {
				line = strings.TrimSpace(line[:i])
				break
			}
			from = i + len(mark)
		}
	}
	return line
}

// is reports whether a path or a URL is that of the file, in any folder.
func (p *sumParser) is(file string, escaped bool) bool {
	if i := strings.IndexAny(file, "?#"); i >= 0 && strings.Contains(file[:i], "://") {
		file = file[:i]
	}
	separators := `/\`
	if escaped {
		separators = "/"
	}
	return file[strings.LastIndexAny(file, separators)+1:] == p.name
}

// found records a digest of the file, or of another file.
func (p *sumParser) found(n int, file string, escaped bool, alg, word string) {
	ours := p.is(file, escaped)
	if alg != "" {
		_, word, _ = strings.Cut(hexOfBase64(alg+":"+word), ":")
	}
	hex, foreign := digestOf(word)
	if alg != "" {
		size, known := algorithms[normal(alg)]
		foreign = foreign || known && size == 0
		if hex != "" && (!known || size != len(hex)) && !foreign {
			hex = ""
		}
	}
	switch {
	case foreign:
		if ours && p.bare == 0 {
			p.bare = n
		}
	case hex == "" && ours:
		if p.bare == 0 {
			p.bare = n
		}
	case hex == "":
	case ours:
		p.named = append(p.named, sumLine{n, hex})
	case file == "-" || p.single: // sha256sum read a pipe
		p.nameless = append(p.nameless, sumLine{n, hex})
	default:
		p.others++
	}
}

// gnu reads the format of sha256sum: "HEX  NAME", or "HEX *NAME" for a binary
// file. The rest of the line is the name, including spaces.
func gnu(line string) (word, file string, ok bool) {
	i := strings.IndexByte(line, ' ')
	if i < 0 || len(line) < i+3 || line[i+1] != ' ' && line[i+1] != '*' {
		return "", "", false
	}
	word, file = line[:i], strings.TrimSpace(line[i+2:])
	if bare, quoted := strings.CutPrefix(file, `"`); quoted && len(bare) > 1 && strings.IndexByte(bare, '"') == len(bare)-1 {
		file = bare[:len(bare)-1]
	}
	if hex, foreign := digestOf(word); hex == "" && !foreign {
		return "", "", false
	}
	return word, file, file != ""
}

// tagged reads the format of the BSDs, sha256sum --tag and openssl: "ALG (NAME)
// = HEX".
func tagged(line string) (alg, file, word string, ok bool) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open <= 0 || end < open {
		return "", "", "", false
	}
	alg = strings.TrimSpace(line[:open])
	word, ok = strings.CutPrefix(strings.TrimSpace(line[end+1:]), "=")
	word = strings.TrimSpace(word)
	if _, known := algorithms[normal(alg)]; !ok || !known {
		return "", "", "", false
	}
	return alg, line[open+1 : end], word, true
}

// algorithms maps the names of algorithms, as returned by [normal], to the
// length of the digest in hexadecimal digits. Algorithms that we ignore have
// length 0.
var algorithms = map[string]int{
	"sha256": 64, "sha2256": 64, "sha256sum": 64, "sha512": 128, "sha2512": 128, "sha512sum": 128,
	"md4": 0, "md5": 0, "md5sum": 0, "sha1": 0, "sha1sum": 0, "sha224": 0, "sha2224": 0, "sha384": 0, "sha2384": 0,
	"sha512224": 0, "sha512256": 0, "sha2512224": 0, "sha2512256": 0,
	"sha3": 0, "sha3224": 0, "sha3256": 0, "sha3384": 0, "sha3512": 0, "shake128": 0, "shake256": 0, "keccak256": 0, "sm3": 0,
	"blake2": 0, "blake2b": 0, "blake2s": 0, "blake2b256": 0, "blake2b512": 0, "blake2s256": 0, "blake3": 0, "b2": 0, "b3": 0, "b2sum": 0, "b3sum": 0,
	"rmd160": 0, "ripemd160": 0, "tiger": 0, "whirlpool": 0, "crc32": 0, "adler32": 0,
}

// normal returns the name of an algorithm without punctuation.
func normal(word string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_/. ", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, word)
}

// digestOf returns the SHA-256 or SHA-512 in a word, with or without the name
// of the algorithm before it, in hexadecimal. foreign is true for the digest of
// another algorithm.
func digestOf(word string) (digest string, foreign bool) {
	want, tagged := 0, false
	if alg, rest, ok := strings.Cut(word, ":"); ok {
		if want, tagged = algorithms[normal(alg)]; !tagged {
			return "", false
		}
		word = rest
	}
	raw, err := hex.DecodeString(word)
	if err != nil {
		return "", false
	}
	switch size := len(word); {
	case tagged && want == 0:
		return "", size >= 8
	case size != 64 && size != 128:
		return "", size == 32 || size == 40 || size == 56 || size == 96
	case tagged && want != size, len(bytes.Trim(raw, "\x00")) == 0:
		return "", false
	}
	return strings.ToLower(word), false
}

// decoration lists words that do not affect which file or digest is meant.
var decoration = map[string]bool{
	"file": true, "files": true, "asset": true, "assets": true, "filename": true, "name": true, "checksum": true, "checksums": true, "sum": true, "hash": true, "digest": true,
	"sha": true, "hex": true, "size": true, "bytes": true, "byte": true, "kb": true, "mb": true, "kib": true, "mib": true, "for": true, "of": true, "is": true,
}

// words reads a line in any other format: a table, a list, or "NAME: HEX". It
// may contain only the name, digests and decoration.
func (p *sumParser) words(n int, line string) {
	w := p.count(line)
	p.separate(line)
	switch {
	case w.size == 0 && w.foreign || len(w.digests) == 0:
		p.entitle(line)
		if w.ours && p.bare == 0 {
			p.bare = n
		}
	case !w.ours && w.left > 0 && !p.single:
		p.others++
	case !w.ours:
		for _, hex := range w.digests {
			p.record.add(p, sumLine{n, hex})
		}
	case w.left > 0 || w.foreign:
		p.err = fmt.Errorf("line %d has %s and something else beside a digest, so it is ambiguous", n, p.name)
	case w.size > 0 && len(w.digests) == 1 && len(w.digests[0]) != w.size:
		p.err = fmt.Errorf("line %d has a digest for %s whose length does not match its algorithm", n, p.name)
	default:
		for _, hex := range w.digests {
			p.named = append(p.named, sumLine{n, hex})
		}
	}
}

// sumWords counts the words of a line by kind.
type sumWords struct {
	digests []string
	ours    bool // whether the name of the file is one of them
	size    int  // of a digest of the last algorithm, 0 for none
	foreign bool // another algorithm is named, and none of its digests is present
	left    int  // words with an unknown meaning
}

// wordsOf returns the words of a line without the marks of a list or a table, of bold
// text and of XML.
func wordsOf(line string) []string {
	words := strings.FieldsFunc(line, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("|,;\"'`=<>()[]{}", r) })
	for i, word := range words {
		word = strings.Trim(strings.TrimRight(strings.TrimRight(word, "*"), ":"), "*")
		if bare := strings.Trim(word, "/."); decoration[strings.ToLower(bare)] || naming[strings.ToLower(bare)] || algorithmWord(bare) {
			word = bare
		}
		words[i] = word
	}
	return words
}

// count classifies the words of a line.
func (p *sumParser) count(line string) (w sumWords) {
	foreignDigest, before := false, false // before: the last word is another algorithm
	for _, word := range wordsOf(line) {
		if name, digest, ok := strings.Cut(word, ":"); ok && p.is(name, false) {
			w.ours, word = true, digest
		}
		hex, other := digestOf(word)
		digits, alg := algorithms[normal(word)]
		named := before
		before = alg && digits == 0
		switch {
		case hex != "" && named:
			foreignDigest = true
		case hex != "":
			w.digests = append(w.digests, hex)
		case other:
			foreignDigest = true
		case p.is(word, false):
			w.ours = true
		case alg && digits > 0:
			w.size = digits
		case alg:
			w.foreign = true
		case decoration[strings.ToLower(word)], !strings.ContainsFunc(word, unicode.IsLetter):
		default:
			w.left++
		}
	}
	// A digest beside the name of another algorithm belongs to that algorithm.
	w.foreign = w.foreign && !foreignDigest
	return w
}
