package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A weaker is a field of the lock in a worse state.
type weaker struct {
	name  string
	text  string // in the place of all of the field
	wrong bool   // its form is right: only the bytes can tell
}

// weaken makes the states of a field: one by one of no right form, and then of the
// right form with the value of something else.
func weaken(key, value string) []weaker {
	put := func(name, text string) weaker { return weaker{name: name, text: key + " = " + text} }
	list := []weaker{
		{name: "removed", text: ""}, put("empty", `""`), put("a list", `[]`), put("false", `false`),
		put("another key", `"x", `+key+`x = "x"`), put("twice", value+", "+key+" = "+value),
	}
	if key == "size" {
		list = append(list, put("a text", `"`+value+`"`), put("negative", "-1"), put("zero", "0"), put("a fraction", value+".0"),
			put("2^63", "9223372036854775808"))
		for name, text := range map[string]string{"a digit more": value + "1", "one digit": "7", "2^62": "4611686018427387904", "hexadecimal": "0x10"} {
			list = append(list, weaker{name: name, text: "size = " + text, wrong: true})
		}
		return list
	}
	text := strings.Trim(value, `"`)
	quoted := func(name, text string) weaker { return put(name, `"`+text+`"`) }
	list = append(list, quoted("cut", text[:len(text)-1]), quoted("longer", text+"0"), quoted("a space", text+" "), put("a number", "7"))
	prefix, sum := "", text
	if i := strings.LastIndexAny(text, "-:"); i >= 0 && len(text) > 64 {
		prefix, sum = text[:i+1], text[i+1:]
	}
	if prefix != "" {
		list = append(list, quoted("no algorithm", sum), quoted("the algorithm alone", prefix), quoted("sha1", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
			quoted("md5", "md5-1B2M2Y8AsgTpgAmY7PhCfg=="), quoted("two", text+" "+text))
		last := "A"
		if strings.HasPrefix(sum, "A") {
			last = "B"
		}
		return append(list, weaker{name: "another one", text: key + ` = "` + prefix + last + sum[1:] + `"`, wrong: true})
	}
	last := "0"
	if strings.HasPrefix(sum, "0") {
		last = "1"
	}
	return append(list, quoted("upper case", strings.ToUpper(text[:len(text)-1])+"F"), quoted("with an algorithm", "sha256:"+text), quoted("sha1", text[:40]),
		quoted("md5", text[:32]), quoted("no digits", strings.Repeat("g", len(text))), quoted("zeros", strings.Repeat("0", len(text))),
		weaker{name: "another one", text: key + ` = "` + last + sum[1:] + `"`, wrong: true})
}

// TestLockFields: no field that says which bytes are meant may be left out or
// weakened. One without the right form is an error of the lock before anybody is
// asked, and one with the value of something else is found: by the lock itself or by
// the bytes, also where the cache has them.
func TestLockFields(t *testing.T) {
	// What in a lock says which bytes are meant.
	field := regexp.MustCompile(`(sha256|manifest|tree|integrity|gomod|size) = ("([^"]*)"|\d+)`)
	for kind, prepare := range kindsServed() {
		if kind == goByFetch {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			if testing.Short() && kind != lock.HTTP {
				t.Skip("-short: one kind")
			}
			beside(t, kind)
			w := prepare(t)
			text := string(lock.Print(w.lock))
			file := filepath.Join(w.dir, lock.FileName)
			begin, end := w.section(text)
			path := w.must("get", w.plugin)
			f := &fieldTrial{served: w, kind: kind, path: path, warm: w.cache, cold: filepath.Join(t.TempDir(), "cold")}
			for _, at := range field.FindAllStringSubmatchIndex(text[begin:end], -1) {
				for i := range at {
					at[i] += begin
				}
				key, value := text[at[2]:at[3]], text[at[4]:at[5]]
				line := text[strings.LastIndex(text[:at[0]], "\n"):at[0]]
				if key == "tree" && !strings.Contains(line, host(t)) {
					continue // of another platform: nobody here looks at it
				}
				if kind == lock.Go && key != "tree" && !strings.Contains(line, goDep.Path) {
					continue // each of the right form is compiled: one module will do
				}
				for _, bad := range weaken(key, value) {
					if (kind == lock.Go || kind == lock.Cargo) && bad.wrong && bad.name != "another one" && bad.name != "one digit" && !testenv.Full() {
						continue // each starts a compiler
					}
					text := text[:at[0]] + bad.text + text[at[1]:]
					if bad.name == "removed" {
						text = strings.NewReplacer("{ , ", "{ ", ", , ", ", ", ", }", " }", "{  }", "{ }").Replace(text)
					}
					fake.Write(t, file, text)
					f.try(t, key, key+" = "+value+", "+bad.name, bad.wrong)
				}
			}
			testenv.Held(t, "a digest, size or folder of the lock left out or weakened: exit 3 before any request, cold and warm", kind, f.formed, f.formedHeld)
			testenv.Held(t, "a digest, size or folder of the lock with another value: exit 3 or 5, cold and warm", kind, f.wrong, f.wrongHeld)
			fake.Write(t, file, text)
			w.cache = f.warm
			if again := w.must("get", w.plugin); again != path {
				t.Errorf("the path is %s, before it was %s", again, path)
			}
		})
	}
}

// section returns where the entries of the world's plugin begin and end in the text
// of a lock.
func (w served) section(text string) (begin, end int) {
	begin, end = strings.Index(text, "[plugins."+w.plugin+"."), len(text)
	for name := range w.lock.Plugins { // where the next plugin begins
		if i := strings.Index(text[begin:], "\n[plugins."+name+"."); i > 0 && name != w.plugin {
			end = min(end, begin+i)
		}
	}
	return begin, end
}

// A fieldTrial counts what fetch does with changed locks.
type fieldTrial struct {
	served
	kind, path, warm, cold               string
	formed, formedHeld, wrong, wrongHeld int
}

// try runs fetch with the lock that has one field changed, with a warm and a cold
// cache. Wrong says that the field is of the right form and has another value.
func (f *fieldTrial) try(t *testing.T, key, what string, wrong bool) {
	t.Helper()
	caches := []string{f.warm, f.cold}
	if f.kind == lock.Go && wrong {
		caches = caches[:1] // a cold one compiles the standard library
	}
	for _, f.cache = range caches {
		if wrong {
			if err := os.RemoveAll(f.cold); err != nil {
				t.Fatal(err)
			}
		}
		f.registry.Forget()
		status, stdout, stderr := f.fetch("get", f.plugin)
		asked := f.registry.Count("")
		var held bool
		if wrong {
			class := fault.Class(status)
			refused := class == fault.Lock || class == fault.Integrity || class == fault.Upstream && key == "manifest"
			// The hash of its files decides of a module, however its zip was packed.
			packed := f.kind == lock.Go && (key == "sha256" || key == "size") && status == 0 && filepath.Base(filepath.Dir(strings.TrimSpace(stdout))) == filepath.Base(filepath.Dir(f.path))
			held = refused && stdout == "" || packed
			f.wrong++
			f.wrongHeld += count(held)
		} else {
			held = status == int(fault.Lock) && stdout == "" && asked == 0 && strings.Contains(stderr, lock.FileName+":")
			f.formed++
			f.formedHeld += count(held)
		}
		if !held {
			t.Errorf("%s (%s): exit %d, %d requests\n%s%s", what, filepath.Base(f.cache), status, asked, stdout, stderr)
		}
	}
}

// count is 1 for what held.
func count(held bool) int {
	if held {
		return 1
	}
	return 0
}
