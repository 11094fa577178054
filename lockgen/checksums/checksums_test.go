package checksums

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// utf16Of encodes a text with its byte order mark.
func utf16Of(text string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

func TestFind(t *testing.T) {
	const f = "good.tar.gz"
	data := []byte("what it is about")
	of := func(sum []byte) string { return hex.EncodeToString(sum) }
	s256, s512, s1, m5 := sha256.Sum256(data), sha512.Sum512(data), sha1.Sum(data), md5.Sum(data)
	h, h5 := of(s256[:]), of(s512[:])
	other256, other512 := sha256.Sum256([]byte("other")), sha512.Sum512([]byte("other"))
	o, o5 := of(other256[:]), of(other512[:])
	s384 := sha512.Sum384(data)
	b, b5, ob, ob5 := base64.StdEncoding.EncodeToString(s256[:]), base64.StdEncoding.EncodeToString(s512[:]), base64.StdEncoding.EncodeToString(other256[:]), base64.StdEncoding.EncodeToString(other512[:])
	b384 := base64.StdEncoding.EncodeToString(s384[:])
	groups := func(hex string, n int) string {
		var all []string
		for ; hex != ""; hex = hex[n:] {
			all = append(all, strings.ToUpper(hex[:n]))
		}
		return strings.Join(all, " ")
	}
	pgp := func(text string) string {
		return "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + text + "-----BEGIN PGP SIGNATURE-----\n\niQ\n-----END PGP SIGNATURE-----\n"
	}
	const lineless = "it has no line for good.tar.gz"
	none := func(line int) string {
		return fmt.Sprintf("line %d mentions good.tar.gz without a SHA-256 or SHA-512", line)
	}
	for _, tt := range []struct {
		what, text string
		want       string // "256", "512" or both; else part of the message
	}{
		// The twenty of public projects.
		{"plain", h + "  " + f + "\n", "256"},
		{"in a folder", h + "  dist/" + f + "\n", "256"},
		{"in folders, binary", h + " *./build/out/" + f + "\n", "256"},
		{"absolute", h + "  /home/runner/work/x/" + f + "\n", "256"},
		{"tab", h + "\t" + f + "\n", "256"},
		{"openssl", "SHA256(" + f + ")= " + h + "\n", "256"},
		{"openssl 3", "SHA2-256(" + f + ")= " + h + "\n", "256"},
		{"BSD", "SHA256 (" + f + ") = " + h + "\n", "256"},
		{"CRLF", h + "  " + f + "\r\n", "256"},
		{"colon", f + ": " + h + "\n", "256"},
		{"name first", f + " " + h + "\n", "256"},
		{"three algorithms", of(s1[:]) + "  " + f + "\n" + h + "  " + f + "\n" + h5 + "  " + f + "\n", "256 512"},
		{"twice the same", h + "  " + f + "\n" + h + "  " + f + "\n", "256"},
		{"SHA-512", h5 + "  " + f + "\n", "512"},
		{"markdown", "| File | SHA |\n|--|--|\n| " + f + " | " + h + " |\n", "256"},
		{"PGP", pgp(h + "  " + f + "\n"), "256"},
		{"capitals", strings.ToUpper(h) + "  " + f + "\n", "256"},
		{"escaped by sha256sum", `\` + h + "  " + f + "\n", "256"},
		{"prefix", "sha256:" + h + "  " + f + "\n", "256"},
		{"UTF-16", utf16Of(h+"  "+f+"\r\n", binary.LittleEndian), "256"},

		// Documents in JSON, in one line or many.
		{"JSON, by name", `{"` + f + `": "` + h + `", "other.tar.gz": "` + o + `"}`, "256"},
		{"JSON, a list", `[{"name": "other.tar.gz", "sha256": "` + o + `"}, {"name": "` + f + `", "size": 1, "sha256": "` + h + `"}]`, "256"},
		{"JSON, a list in many lines", "{\n \"assets\": [\n  {\n   \"name\": \"" + f + "\",\n   \"digest\": \"sha256:" + h + "\"\n  },\n  {\n   \"name\": \"b\",\n   \"digest\": \"sha256:" + o + "\"\n  }\n ]\n}\n", "256"},
		{"JSON, algorithms below", `{"files": {"dist/` + f + `": {"hashes": {"sha1": "` + of(s1[:]) + `", "sha256": "` + h + `", "sha512": "` + h5 + `"}}}}`, "256 512"},
		{"JSON, of what belongs to it", `[{"name": "` + f + `", "sha256": "` + h + `", "signature": {"name": "` + f + `.sig", "sha256": "` + o + `"}}]`, "256"},
		{"JSON, two digests", `[{"name": "` + f + `", "sha256": "` + h + `"}, {"name": "` + f + `", "sha256": "` + o + `"}]`, "it gives two digests for good.tar.gz"},
		{"JSON, SHA-1 alone", `[{"name": "` + f + `", "sha1": "` + of(s1[:]) + `"}]`, "it mentions good.tar.gz without"},
		{"JSON, SHA3", `[{"name": "` + f + `", "sha3-256": "` + h + `"}]`, "it mentions good.tar.gz without"},
		{"JSON, other files", `[{"name": "b", "sha256": "` + h + `"}]`, lineless},
		{"quotes", h + "  \"" + f + "\"\n" + o + "  \"b\"\n", "256"},

		// Ours.
		{"UTF-16, the other order", utf16Of(h+"  "+f+"\n", binary.BigEndian), "256"},
		{"UTF-8 mark", "\xef\xbb\xbf" + h + "  " + f + "\n", "256"},
		{"no newline", h + "  " + f, "256"},
		{"one space", h + " " + f, "256"},
		{"much space", "  " + h + "      " + f + "   ", "256"},
		{"folder of Windows", h + " *dist\\" + f + "\r\n", "256"},
		{"drive of Windows", h + "  C:\\x\\" + f + "\r\n", "256"},
		{"BSD in a folder", "SHA512 (dist/" + f + ") = " + h5 + "\n", "512"},
		{"markdown with code", "| `" + f + "` | `" + h + "` |\n", "256"},
		{"list", "* " + f + ": `" + h + "`\n", "256"},
		{"list of digests", "- " + h + " " + f + "\n", "256"},
		{"colon without space", f + ":" + h + "\n", "256"},
		{"equals", f + " = " + h + "\n", "256"},
		{"CSV", f + "," + h + ",12345\n", "256"},
		{"JSON", "{\n  \"" + f + "\": \"sha256:" + h + "\",\n  \"bad.tar.gz\": \"sha256:" + o + "\"\n}\n", "256"},
		{"YAML", "files:\n  " + f + ": " + h + "\n", "256"},
		{"named algorithms in a row", f + " md5 " + of(m5[:]) + " sha1 " + of(s1[:]) + " sha256 " + h + "\n", "256"},
		{"size behind it", h + " 12345 " + f + "\n", "256"},
		{"comment and headline", "# SHA-256 of " + f + "\nSHA256 checksums:\n" + h + "  " + f + "\n", "256"},
		{"among others", o + "  not-" + f + "\n" + o + "  " + f + ".sig\n" + h + "  " + f + "\n" + o + "  Good.tar.gz\n", "256"},
		{"dash in PGP", pgp("- -- sums --\n" + h + "  " + f + "\n"), "256"},
		{"digest alone", h + "\n", "256"},
		{"digest alone, tagged", "SHA256: " + strings.ToUpper(h), "256"},
		{"digest of a pipe", h + "  -\n", "256"},
		{"digest alone beside the name", h + "\n" + h + "  " + f + "\n", "256"},
		{"both algorithms of BSD", "SHA256 (" + f + ") = " + h + "\nSHA512 (" + f + ") = " + h5 + "\nMD5 (" + f + ") = " + of(m5[:]) + "\nSHA3-256 (" + f + ") = " + o + "\n", "256 512"},
		{"not UTF-8 elsewhere", o + "  \xe9.tar.gz\n" + h + "  " + f + "\n", "256"},

		// In base64, as web pages, OpenBSD, latest.yml and wheels have it.
		{"SRI", "sha256-" + b + "  " + f + "\n", "256"},
		{"SRI, name first", f + " sha512-" + b5 + "\n", "512"},
		{"SRI, three", f + ": sha384-" + b384 + " sha256-" + b + " sha512-" + b5 + "?x=y\n", "256 512"},
		{"SRI, quoted", `"` + f + `" = "sha256-` + b + `"` + "\n", "256"},
		{"SRI, markdown", "| " + f + " | `sha256-" + b + "` |\n", "256"},
		{"SRI, JSON", `{"files": [{"name": "` + f + `", "integrity": "sha256-` + b + ` sha512-` + b5 + `"}, {"name": "b", "integrity": "sha256-` + ob + `"}]}`, "256 512"},
		{"SRI, JSON by name", `{"` + f + `": {"sha512": "` + b5 + `"}}`, "512"},
		{"OpenBSD in base64", "SHA256 (" + f + ") = " + b + "\nSHA512 (b) = " + b5 + "\n", "256"},
		{"RECORD of a wheel", "x/" + f + ",sha256=" + strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(b) + ",12\nx/b,sha256=" + strings.TrimRight(ob, "=") + ",12\n", "256"},
		{"base64 of another length", f + " sha512-" + b + "\n", none(1)},
		{"base64 without algorithm", b + "  " + f + "\n", none(1)},
		{"SRI, SHA-384 alone", "sha384-" + b384 + "  " + f + "\n", none(1)},
		{"SRI, two digests", "sha256-" + b + "  " + f + "\nsha256-" + ob + "  " + f + "\n", "lines 1 and 2 give two digests"},

		// On a page.
		{"pre", "<html><body><pre>" + h + "  " + f + "\n" + o + "  b.tar.gz</pre></body></html>\n", "256"},
		{"pre, first of many lines", "<pre>\n" + o + "  b.tar.gz\n" + h + "  " + f + "\n</pre>\n", "256"},
		{"pre in one line", "<pre>" + h + "  " + f + "<br/>" + o + "  b.tar.gz</pre>", "256"},
		{"links", `<pre><a href="https://example.com/` + f + `">` + f + `</a>` + "\t" + h + "\n" + `<a href="b">b.tar.gz</a>` + "\t" + o + "</pre>", "256"},
		{"table of a page", `<!DOCTYPE html><table><tr><th>File</th><th>SHA256</th></tr><tr><td class="x">b.tar.gz</td><td>` + o + "</td></tr><tr><td>" + f + "</td><td><code>" + h + "</code></td></tr></table>", "256"},
		{"entities", "<p>" + h + "&nbsp;&nbsp;" + f + "</p><p>" + o + "&nbsp; b.tar.gz</p>", "256"},
		{"not seen on a page", "<!-- " + o + "  " + f + " --><script>var x = '" + o + "  " + f + "'</script><p>" + h + "  " + f + "</p>", "256"},
		{"two on a page", "<p>" + h + "  " + f + "</p><p>" + o + "  " + f + "</p>", "two digests for good.tar.gz"},

		// With a comment behind it.
		{"comment", h + "  " + f + "  # built by CI\n" + o + "  b.tar.gz # " + f + "\n", "256"},
		{"comment of slashes", h + " *" + f + " // for Linux\n", "256"},
		{"comment of a semicolon", f + ": " + h + " ; signed\n", "256"},
		{"comment with the old digest", f + " " + h + " # was " + o + "\n", "256"},
		{"comment without a space", h + "  " + f + "#1\n", lineless},

		// In groups, and in records of more than one line.
		{"gpg --print-md", f + ": " + groups(h, 8) + "\n", "256"},
		{"gpg --print-md, many lines", f + ": " + groups(h5[:64], 8) + "\n   " + groups(h5[64:], 8) + "\nb.tar.gz: " + groups(o5[:64], 8) + "\n  " + groups(o5[64:], 8) + "\n", "512"},
		{"gpg --print-md, long name", f + ":\n   " + groups(h[:32], 4) + "\n   " + groups(h[32:], 4) + "\n", "256"},
		{"gpg --print-md, cut", f + ": " + groups(h[:56], 8) + "\n", none(1)},
		{"certutil", "SHA256 hash of C:\\x\\" + f + ":\r\n" + h + "\r\nCertUtil: -hashfile command completed successfully.\r\nSHA256 hash of b.tar.gz:\r\n" + o + "\r\nCertUtil: -hashfile command completed successfully.\r\n", "256"},
		{"certutil of old", "SHA256 hash of file " + f + ":\r\n" + groups(h, 2) + "\r\nCertUtil: -hashfile command completed successfully.\r\n", "256"},
		{"Get-FileHash", "Algorithm       Hash          Path\r\n---------       ----          ----\r\nSHA256          " + h + "       C:\\x\\" + f + "\r\nSHA256          " + o + "       C:\\x\\b\r\n", "256"},
		{"Get-FileHash as a list", "\r\nAlgorithm : SHA256\r\nHash      : " + o + "\r\nPath      : C:\\x\\b.tar.gz\r\n\r\nAlgorithm : SHA256\r\nHash      : " + h + "\r\nPath      : C:\\x\\" + f + "\r\n", "256"},
		{"latest.yml", "version: 1.0.0\nfiles:\n  - url: b.tar.gz\n    sha512: " + ob5 + "\n    size: 1\n  - url: " + f + "\n    sha512: " + b5 + "\n    size: 1\npath: " + f + "\nsha512: " + b5 + "\n", "512"},
		{"YAML of maps", "b.tar.gz:\n  sha256: " + o + "\n" + f + ":\n  sha256: " + h + "\n  sha512: " + h5 + "\n", "256 512"},
		{"TOML", "[[file]]\nname = \"b\"\nsha256 = \"" + o + "\"\n\n[[file]]\nname = \"" + f + "\"\nsha256 = \"" + h + "\"\n", "256"},
		{"XML, attributes", `<file name="b.tar.gz" sha256="` + o + `"/>` + "\n" + `<file name="` + f + `" sha256="` + h + `"/>` + "\n", "256"},
		{"XML in one line", "<files>\n<file name=\"b.tar.gz\"><sha256>" + o + "</sha256></file>\n<file name=\"" + f + "\"><sha256>" + h + "</sha256></file>\n</files>\n", "256"},
		{"XML in many lines", "<files>\n<file>\n<name>b.tar.gz</name>\n<sha256>" + o + "</sha256>\n</file>\n<file>\n<name>" + f + "</name>\n<sha256>" + h + "</sha256>\n</file>\n</files>\n", "256"},
		{"sections", "[b.tar.gz]\nsha256=" + o + "\n[" + f + "]\nsha256=" + h + "\n", "256"},
		{"sections of TOML", "[files.\"b.tar.gz\"]\nsha256 = \"" + o + "\"\n[files.\"" + f + "\"]\nsha256 = \"" + h + "\"\n", "256"},
		{"a size before the name, in columns", "SHA256:\n " + o + "     123 b.tar.gz\n " + h + "   45678 dist/" + f + "\n", "256"},
		{"a size behind the name", h + "  " + f + "  (45678 bytes)\n" + o + "  b.tar.gz  (1 bytes)\n", "256"},
		{"an algorithm before it", "sha256 " + h + "  " + f + "\nsha512 " + h5 + "  " + f + "\n", "256 512"},
		{"an algorithm behind the name", f + " (SHA256): " + h + "\n", "256"},
		{"a formula", "  sha256 \"" + h + "\" # " + f + "\n", "256"},
		{"a record of two digests", "name: " + f + "\nsha256: " + h + "\nsha256: " + o + "\n", "lines 2 and 3 give two digests"},
		{"two records", "name: " + f + "\nsha256: " + h + "\n\nname: " + f + "\nsha256: " + o + "\n", "lines 2 and 5 give two digests"},
		{"a record of another file", "name: b\nsha256: " + h + "\n", lineless},
		{"markdown in bold", "* **" + f + "**: `" + h + "`\n", "256"},

		// Contradictions, and what can be read in two ways.
		{"URL", h + "  https://example.com/dl/" + f + "?raw=true\n" + o + "  https://example.com/b.tar.gz?x=" + f + "\n", "256"},
		{"URL with its digest", "https://example.com/" + f + "#sha256=" + h + "\nhttps://example.com/b#sha256=" + o + "\n", "256"},
		{"path with its digest", "../" + f + "#sha512=" + h5 + "\n../b#sha512=" + o5 + "\n", "512"},
		{"URL with another digest", "https://example.com/" + f + "#md5=" + of(m5[:]) + "\n", none(1)},
		{"URL in JSON", `{"64bit": {"url": "https://example.com/` + f + `#/x.tgz", "hash": "` + h + `"}, "32bit": {"url": "https://example.com/b", "hash": "` + o + `"}}`, "256"},
		{"JSON, one a line", `{"name": "` + f + `", "content_type": "application/gzip", "digest": "sha256:` + h + `"}` + "\n" + `{"name": "b", "content_type": "x/y", "digest": "sha256:` + o + `"}` + "\n", "256"},
		{"JSON, one a line, two digests", `{"name": "` + f + `", "sha256": "` + h + `"}` + "\n" + `{"name": "` + f + `", "sha256": "` + o + `"}` + "\n", "it gives two digests for good.tar.gz"},
		{"Manifest of Gentoo", "DIST b 12 BLAKE2B " + o5 + " SHA512 " + o5 + "\nDIST " + f + " 12 BLAKE2B " + o5 + " SHA512 " + h5 + "\n", "512"},
		{"Manifest of Gentoo without SHA", "DIST " + f + " 12 BLAKE2B " + o5 + "\n", none(1)},
		{"b2sum beside sha512sum", f + " b2 " + o5 + "\n" + f + " sha512 " + h5 + "\n", "512"},
		{"lines of an old Mac", o + "  b.tar.gz\r" + h + "  " + f + "\r", "256"},
		{"files with marks put together", "\ufeff" + o + "  b.tar.gz\n\ufeff" + h + "  " + f + "\n", "256"},
		{"two sums", h + "  " + f + "\n" + o + "  " + f + "\n", "lines 1 and 2 give two digests for good.tar.gz"},
		{"two sums of SHA-512", h5 + "  " + f + "\n\nSHA512(" + f + ")= " + o5 + "\n", "lines 1 and 3 give two digests"},
		{"two folders", h + "  linux/" + f + "\n" + o + "  darwin/" + f + "\n", "lines 1 and 2 give two digests"},
		{"two digests alone", h + "\n" + o + "\n", "lines 1 and 2 give two digests"},
		{"a digest alone beside another", h + "\n" + o + "  " + f + "\n", "give two digests"},
		{"two in a row", f + " " + h + " " + o + "\n", "lines 1 and 1 give two digests"},
		{"two files in a row", f + " bad.tar.gz " + h + "\n", "line 1 has good.tar.gz and something else"},
		{"prose", "the sum of " + f + " is not " + h + "\n", "ambiguous"},
		{"two algorithms for one digest", "sha256 or sha3-256 " + f + " " + h + "\n", "ambiguous"},
		{"another length than its algorithm", "sha512 " + f + " " + h + "\n", "whose length does not match"},
		{"unsigned beside signed", h + "  bad.tar.gz\n" + pgp(o+"  x\n") + h + "  " + f + "\n", lineless},
		{"unsigned contradicts signed", o + "  " + f + "\n" + pgp(h+"  "+f+"\n") + o + "  " + f + "\n", "256"},

		// Nothing that counts.
		{"empty", "", lineless},
		{"only a suffix", h + "  not-" + f + "\n", lineless},
		{"only a prefix", h + "  " + f + ".asc\n", lineless},
		{"another case", h + "  GOOD.tar.gz\n", lineless},
		{"a name with spaces", h + "  not " + f + "\n", lineless},
		{"escaped into another", `\` + h + `  dist\\` + f + "\n", lineless},
		{"in a comment", "# " + h + "  " + f + "\n", lineless},
		{"SHA-1 alone", of(s1[:]) + "  " + f + "\n", none(1)},
		{"MD5 of BSD", "MD5 (" + f + ") = " + of(m5[:]) + "\n", none(1)},
		{"SHA3-256 of BSD", "SHA3-256 (" + f + ") = " + h + "\n", none(1)},
		{"SHA-512/256", "\nSHA512/256 " + f + " " + h + "\n", none(2)},
		{"BLAKE3", "blake3:" + h + "  " + f + "\n", none(1)},
		{"one digit short", h[1:] + "  " + f + "\n", none(1)},
		{"one digit more", h + "0  " + f + "\n", none(1)},
		{"no hexadecimal", strings.Replace(h, h[:1], "g", 1) + "  " + f + "\n", none(1)},
		{"zeros", strings.Repeat("0", 64) + "  " + f + "\n", none(1)},
		{"SHA-256 of 128 digits", "SHA256 (" + f + ") = " + h5 + "\n", none(1)},
		{"name alone", f + "\n", none(1)},
		{"HTML", "<html><body>404 not found</body></html>", lineless},
		{"a digest among others", o + "  bad.tar.gz\n" + h + "\n", lineless},
		{"NUL", h + "  " + f + "\n\x00", "it is not text: NUL byte"},
		{"UTF-16 cut", utf16Of(h+"  "+f, binary.LittleEndian) + "x", "it is not valid UTF-16"},
		{"UTF-16 without a mark", utf16Of(h+"  "+f, binary.LittleEndian)[2:], "it is not text: NUL byte"},
	} {
		got, err := Find([]byte(tt.text), f, false)
		want := Sums{}
		if strings.Contains(tt.want, "256") && len(tt.want) <= 7 {
			want.SHA256 = h
		}
		if strings.Contains(tt.want, "512") && len(tt.want) <= 7 {
			want.SHA512 = h5
		}
		if got != want || want == (Sums{}) && (err == nil || !strings.Contains(err.Error(), tt.want)) || want != (Sums{}) && err != nil {
			t.Errorf("%s: %v, %v, want %s", tt.what, got, err, tt.want)
		}
		if err != nil && errors.Is(err, ErrNoLine) != strings.Contains(tt.want, lineless) {
			t.Errorf("%s: %v", tt.what, err)
		}
	}

	// Beside a file of Maven a digest counts whatever name is behind it.
	for text, want := range map[string]string{h: h, h + "  gen\n": h, h + " *x/gen": h, "gen: " + h: h, "SHA256(gen)= " + h: h, h + "\n" + o: "", o + "  gen\n" + h + "  " + f: h, "abc": "", of(s1[:]): ""} {
		if got, err := Find([]byte(text), f, true); got.SHA256 != want || (err == nil) != (want != "") {
			t.Errorf("beside: %q: %v, %v", text, got, err)
		}
	}

	// As much as is read of a server, in lines and without.
	size := testenv.Count(MaxSize/4, MaxSize)
	for what, text := range map[string]string{
		"lines":       strings.Repeat("x\n", size/2-50),
		"words":       strings.Repeat("x ", size/2-50),
		"digests":     strings.Repeat(o+"  x\n", size/70),
		"backslashes": strings.Repeat("\\", size-100),
		"colons":      strings.Repeat("a:", size/2-100),
		"parentheses": strings.Repeat("(", size-100),
		"tags":        strings.Repeat("<a", size/2-50) + ">",
		"scripts":     strings.Repeat("<script>", size/8-50),
		"comments":    strings.Repeat("x #", size/3-50),
		"groups":      strings.Repeat("ab ", size/3-50),
		"groups down": strings.Repeat("x:\n ab ab\n", size/10-50),
		"algorithms":  strings.Repeat("sha256 ", size/7-50),
	} {
		got, err := Find([]byte(text+"\n"+h+"  "+f), f, false)
		if got.SHA256 != h || err != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

func FuzzFindSums(f *testing.F) {
	h := strings.Repeat("ab", 32)
	for _, s := range []string{h + "  a\n", "SHA256 (a) = " + h, "| a | " + h + " |", `\` + h + "  a\\n", "\xff\xfea\x00", "-----BEGIN PGP SIGNED MESSAGE-----\n\n" + h + "  a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Find(data, "a", len(data)%2 == 0)
		if (err == nil) == (got == Sums{}) {
			t.Errorf("%v, %v", got, err)
		}
		if got.SHA256 != "" && !strings.Contains(strings.ToLower(string(data)), got.SHA256) && data[0] < 0xfe {
			t.Errorf("%s is not in it", got.SHA256)
		}
	})
}
