package lock

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"

	"github.com/BurntSushi/toml"
)

// decoded is what the decoder of TOML makes of a text.
func decoded(text string) (*Lock, error) {
	var l Lock
	_, err := toml.Decode(text, &l)
	return &l, err
}

// taken reports whether the quick reader takes a text. Then the decoder of TOML has to
// read the same.
func taken(t *testing.T, text string) bool {
	t.Helper()
	l := readCanonical(text)
	if l == nil || !bytes.Equal(Print(l), []byte(text)) {
		return false
	}
	want, err := decoded(text)
	if err != nil || !reflect.DeepEqual(l, want) {
		t.Fatalf("read as %+v, decoded as %+v (%v):\n%s", l, want, err, text)
	}
	return true
}

// TestReadCanonical: whatever the quick reader takes, the decoder of TOML reads
// the same way, of canonical texts and of thousands of damaged ones.
func TestReadCanonical(t *testing.T) {
	t.Parallel()
	texts := []string{string(Print(sample())), header + "schema = 1\n"}
	more, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(more) == 0 {
		t.Fatalf("no golden lock: %v", err)
	}
	for _, name := range append(more, "../../plugins.lock.toml") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	r := rand.New(rand.NewPCG(1, 2))
	mutations, same := 0, 0
	for _, text := range texts {
		if !taken(t, text) {
			t.Fatalf("is not read:\n%s", text)
		}
		lines := strings.SplitAfter(text, "\n")
		for range testenv.Brief(100, testenv.Count(500, 3000)) {
			at := r.IntN(len(text))
			bad := text[:at] + string(rune(1+r.IntN(255))) + text[at+1:]
			switch r.IntN(4) {
			case 0:
				bad = text[:at] + text[at+1:]
			case 1: // within quotes, where most of it means something else
				bad = text[:at] + "\\\"\n#é\x7f\x00"[r.IntN(4):][:1] + text[at:]
			case 2:
				i, j := r.IntN(len(lines)), r.IntN(len(lines))
				c := append([]string(nil), lines...)
				c[i], c[j] = c[j], c[i]
				bad = strings.Join(c, "")
			}
			mutations++
			if taken(t, bad) {
				same++
			}
		}
	}
	if mutations < testenv.Brief(300, testenv.Count(1500, 10000)) || same == 0 || same == mutations {
		t.Errorf("%d of %d mutations were read", same, mutations)
	}
}

// TestReadCanonicalKeys: the quick reader takes what Print wrote, with every key that
// there is, so that none is forgotten in fields.
func TestReadCanonicalKeys(t *testing.T) {
	t.Parallel()
	full := func(v reflect.Value) {
		for _, of := range reflect.VisibleFields(v.Type()) {
			switch f := v.FieldByIndex(of.Index); f.Kind() {
			case reflect.String:
				f.SetString("x" + of.Name)
			case reflect.Int64:
				f.SetInt(7)
			case reflect.Slice:
				f.Set(reflect.ValueOf([]string{"a", "b"}))
			}
		}
	}
	var v Version
	var f File
	var c Cell
	for _, p := range []any{&v, &f, &c} {
		full(reflect.ValueOf(p).Elem())
	}
	v.Language = "" // which is no key
	v.Files, v.Platforms = map[string]File{"a/b": f, "c": {Size: 1}}, map[string]Cell{"p": c, "q.r": {Tree: "t"}}
	l := &Lock{Schema: 1, Plugins: map[string]map[string]*Version{"a": {"1.0": &v}, "b.c": {"2": {Files: map[string]File{}, Platforms: map[string]Cell{}}}}}
	text := string(Print(l))
	if got := readCanonical(text); !reflect.DeepEqual(got, l) || !taken(t, text) {
		t.Errorf("read %+v of\n%s", got, text)
	}
}
