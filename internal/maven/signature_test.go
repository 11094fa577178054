package maven

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"strings"
	"testing"
)

// armored is a signature as gpg --armor writes it.
func armored(packet []byte, headers string) string {
	code := base64.StdEncoding.EncodeToString(packet)
	var lines []string
	for len(code) > 64 {
		lines, code = append(lines, code[:64]), code[64:]
	}
	return "-----BEGIN PGP SIGNATURE-----\n" + headers + "\n" + strings.Join(append(lines, code), "\n") + "\n=AbCd\n-----END PGP SIGNATURE-----\n"
}

// TestSigner: the key of signatures of every version and in every form of a packet, and
// of nothing else.
func TestSigner(t *testing.T) {
	print20, print32, id := bytes.Repeat([]byte{0xA1}, 20), bytes.Repeat([]byte{0xB2}, 32), []byte{1, 2, 3, 4, 5, 6, 7, 0xEF}
	sub := func(kind byte, data ...byte) []byte { return append([]byte{byte(len(data) + 1), kind}, data...) }
	v4 := func(hashed, others []byte) []byte {
		body := []byte{4, 0, 1, 8, byte(len(hashed) >> 8), byte(len(hashed))}
		body = append(append(body, hashed...), byte(len(others)>>8), byte(len(others)))
		return append(append(body, others...), bytes.Repeat([]byte{7}, 300)...)
	}
	newForm := func(body []byte) []byte { // a length of two octets
		n := len(body) - 192
		return append([]byte{0xc2, byte(n>>8) + 192, byte(n)}, body...)
	}
	long := func(body []byte) []byte { // and of five
		return append([]byte{0xc2, 255, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	oldForm := func(body []byte) []byte { return append([]byte{0x89, byte(len(body) >> 8), byte(len(body))}, body...) }
	fingerprint := sub(33, append([]byte{4}, print20...)...)
	v3 := append([]byte{3, 5, 0, 1, 2, 3, 4}, append(id, 1, 8, 0, 0)...)
	v6 := append([]byte{6, 0, 27, 8, 0, 0, 0, 35}, append(sub(33, append([]byte{6}, print32...)...), bytes.Repeat([]byte{0}, 12)...)...)
	var zip bytes.Buffer
	w, err := flate.NewWriter(&zip, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(oldForm(v3)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	deflated := append([]byte{0xc8, byte(zip.Len() + 1), 1}, zip.Bytes()...)
	const long20, key = "A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1", "01020304050607EF"
	for name, tt := range map[string]struct{ text, want string }{
		"version 4, old form":            {armored(oldForm(v4(append(sub(2, 1, 2, 3, 4), fingerprint...), sub(16, id...))), ""), long20},
		"version 4, new form":            {armored(newForm(v4(fingerprint, nil)), "Version: GnuPG v2\n"), long20},
		"version 4, five octets":         {armored(long(v4(fingerprint, nil)), ""), long20},
		"a key ID alone":                 {armored(oldForm(v4(sub(2, 1, 2, 3, 4), sub(16, id...))), "Version: BCPG\nComment: x\n"), key},
		"a fingerprint among the others": {armored(oldForm(v4(sub(16, id...), fingerprint)), ""), long20},
		"version 3":                      {armored(oldForm(v3), ""), key},
		"version 6":                      {armored(append([]byte{0xc2, byte(len(v6))}, v6...), ""), strings.Repeat("B2", 32)},
		"lines as Windows ends them":     {strings.ReplaceAll(armored(oldForm(v3), ""), "\n", "\r\n"), key},
		"a message, not compressed":      {strings.ReplaceAll(armored(append([]byte{0xa3, 0}, oldForm(v3)...), ""), "SIGNATURE", "MESSAGE"), key},
		"a message, deflated":            {strings.ReplaceAll(armored(deflated, ""), "SIGNATURE", "MESSAGE"), key},
		"a message in a message":         {armored(append([]byte{0xa3, 0, 0xa3, 0}, oldForm(v3)...), ""), ""},
		"compressed in another way":      {armored(append([]byte{0xa3, 9}, oldForm(v3)...), ""), ""},
		"nothing":                        {"", ""},
		"HTML":                           {"<html>", ""},
		"no end":                         {strings.Split(armored(oldForm(v3), ""), "-----END")[0], ""},
		"no base64":                      {strings.Replace(armored(oldForm(v3), ""), "\n\n", "\n\n!!!", 1), ""},
		"a key, no signature":            {armored(append([]byte{0x99, 0, byte(len(v3))}, v3...), ""), ""},
		"no issuer":                      {armored(oldForm(v4(sub(2, 1, 2, 3, 4), nil)), ""), ""},
		"cut":                            {armored(oldForm(v4(fingerprint, nil))[:20], ""), ""},
		"subpackets cut":                 {armored(oldForm(v4(fingerprint[:10], nil)), ""), ""},
	} {
		got, err := Signer([]byte(tt.text))
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

// FuzzSigner: no text makes it fail otherwise than by an error.
func FuzzSigner(f *testing.F) {
	f.Add([]byte(armored([]byte{0x89, 0, 3, 4, 0, 1}, "")))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := Signer(text); err == nil && len(key) != 16 && len(key) != 40 && len(key) != 64 {
			t.Errorf("key %q", key)
		}
	})
}
