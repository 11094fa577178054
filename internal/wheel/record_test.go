package wheel

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// FuzzRecord has a RECORD of a wheel with two files. What is taken lists each file
// once, with nothing weaker than SHA-256 to compare it with.
func FuzzRecord(f *testing.F) {
	const info = "gen-1.0.dist-info"
	there := map[string]archive.File{}
	for name, body := range map[string]string{"gen.py": "pass\n", "a, b": "", info + "/RECORD": "?"} {
		there[name] = archive.File{Path: name, Size: int64(len(body)), SHA256: sha256.Sum256([]byte(body))}
	}
	digest := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	long := sha512.Sum512([]byte("pass\n"))
	gen, ab, own := "gen.py,"+digest("pass\n")+",5\n", "\"a, b\","+digest("")+",0\n", info+"/RECORD,,\n"
	seeds := map[string]bool{ // to whether it is taken
		gen + ab + own: true,
		own + strings.ReplaceAll(ab+gen, "\n", "\r\n"): true,
		gen + ab: true, // its own line may be missing
		"gen.py," + digest("pass\n") + ",\n" + ab + own: true, // without the size
		gen + ab + own + info + "/RECORD.jws,,\n":       false,
		gen + own:            false,
		gen + gen + ab + own: false,
		gen + ab + own + "other.py," + digest("") + ",0\n":                                   false,
		"gen.py,,\n" + ab + own:                                                              false,
		"gen.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,5\n" + ab + own:                                   false,
		"gen.py," + digest("pass\n") + "=,5\n" + ab + own:                                    false, // padded
		"gen.py," + digest("PASS\n") + ",5\n" + ab + own:                                     false,
		"gen.py," + digest("pass\n") + ",6\n" + ab + own:                                     false,
		"gen.py," + digest("pass\n") + ",-5\n" + ab + own:                                    false,
		"./gen.py," + digest("pass\n") + ",5\n" + ab + own:                                   false,
		gen + ab + info + "/RECORD," + digest("?") + ",1\n":                                  false,
		gen + ab + own + "\"":                                                                false,
		gen + ab + own + "gen.py\n":                                                          false,
		"\ufeff" + gen + ab + own:                                                            false,
		"gen.py,sha512=" + base64.RawURLEncoding.EncodeToString(long[:]) + ",5\n" + ab + own: true,
		"": false,
	}
	for text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		strong, err := checkRecord(info, there, []byte(text))
		if want, ok := seeds[text]; ok && (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		listed := map[string]string{}
		for _, row := range rows {
			if _, twice := listed[row[0]]; twice {
				t.Errorf("%q is taken, with %s twice", text, row[0])
			}
			listed[row[0]] = row[1]
		}
		for name, body := range map[string]string{"gen.py": "pass\n", "a, b": ""} {
			// What encoding/base64 skips is of no account.
			said := strings.NewReplacer("\r", "", "\n", "").Replace(listed[name])
			if _, later := strong[name]; !later && said != digest(body) {
				t.Errorf("%q is taken, with %q for %s", text, said, name)
			}
		}
		if len(listed) > 3 {
			t.Errorf("%q is taken, with %v", text, listed)
		}
	})
}
