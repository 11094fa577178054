// Package wheel reads the metadata of a wheel, which are its file name,
// METADATA, WHEEL, RECORD and entry points, and verifies them. Installers trust
// most of these unverified, so nobody else would report an error.
//
// The format is that of
// https://packaging.python.org/en/latest/specifications/binary-distribution-format/
// and the documents it refers to. This package does not unpack: package archive
// has strictly read the archive before.
//
// A .pth file is treated like other files: it must be in RECORD. It is never
// executed, because a plugin's Python is started without site (-I -S), and the
// folders of its tree are added to sys.path, not as site folders.
package wheel

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/pep440"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Name is the parsed file name of a wheel.
type Name struct {
	Project string // as written in the file name
	Version string
	Build   string // "" if there is none
	Python  []string
	ABI     []string
	Systems []string // platform tags
}

// ParseName parses NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl.
func ParseName(file string) (Name, error) {
	base, ok := strings.CutSuffix(file, ".whl")
	parts := strings.Split(base, "-")
	if !ok || len(parts) < 5 || len(parts) > 6 || slices.Contains(parts, "") || syntax.CheckShown(file) != nil || strings.Contains(file, "/") {
		return Name{}, fmt.Errorf("%q is not the name of a wheel", file)
	}
	n := Name{Project: parts[0], Version: parts[1]}
	if len(parts) == 6 {
		n.Build = parts[2]
	}
	parts = parts[len(parts)-3:]
	n.Python, n.ABI, n.Systems = strings.Split(parts[0], "."), strings.Split(parts[1], "."), strings.Split(parts[2], ".")
	return n, nil
}

// tags returns the tags that a file name stands for, sorted.
func (n Name) tags() []string {
	var all []string
	for _, python := range n.Python {
		for _, abi := range n.ABI {
			for _, system := range n.Systems {
				all = append(all, python+"-"+abi+"-"+system)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// owns reports whether a project and a version are those of the wheel.
func (n Name) owns(project, version string) bool {
	return syntax.NormalProject(project) == syntax.NormalProject(n.Project) && pep440.Same(version, n.Version)
}

// Limits for the documents of a wheel, in bytes.
const (
	maxRecord   = 32 << 20
	maxDocument = 4 << 20
)

// Keep returns how many bytes of a file of a wheel [Check] needs, 0 for none.
func Keep(path string) int {
	dir, file, _ := strings.Cut(path, "/")
	if !strings.HasSuffix(dir, ".dist-info") {
		return 0
	}
	switch file {
	case "RECORD":
		return maxRecord
	case "METADATA", "WHEEL", "entry_points.txt":
		return maxDocument
	}
	return 0
}

// Check verifies the metadata of a wheel: RECORD must have exactly its files,
// each with its size and a digest of SHA-256 or better; METADATA must have the
// project and version, and WHEEL the tags, of the file name; and its scripts
// must not have the name of another program. Files is the result of strict
// reading, texts has the content that [Keep] asked for. Read reads the wheel
// again, for digests other than SHA-256.
//
// All errors are of class [fault.Integrity], except those of read.
func Check(file string, files []archive.File, texts map[string][]byte, read func(tap func(path string) io.Writer) error) error {
	name, err := ParseName(file)
	if err != nil {
		return lie(file, "%w", err)
	}
	info, err := folders(name, files)
	if err != nil {
		return lie(file, "%w", err)
	}
	there := map[string]archive.File{}
	for _, f := range files {
		there[f.Path] = f
	}
	for _, must := range []string{"RECORD", "METADATA", "WHEEL"} {
		if _, ok := there[info+"/"+must]; !ok {
			return lie(file, "it has no %s/%s", info, must)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		if limit := Keep(path); limit > 0 && there[path].Size > int64(limit) {
			return lie(file, "%s has %d bytes, more than %d", path, there[path].Size, limit)
		}
	}
	var strong map[string]digest
	for _, err := range []error{
		checkMetadata(name, texts[info+"/METADATA"]),
		checkWheel(name, texts[info+"/WHEEL"]),
		checkScripts(name, texts[info+"/entry_points.txt"], files),
	} {
		if err != nil {
			return lie(file, "%w", err)
		}
	}
	if strong, err = checkRecord(info, there, texts[info+"/RECORD"]); err != nil {
		return lie(file, "%w", err)
	}
	if len(strong) == 0 {
		return nil
	}
	sums := map[string]hash.Hash{}
	err = read(func(path string) io.Writer {
		d, ok := strong[path]
		if !ok {
			return nil
		}
		sums[path] = d.make()
		return sums[path]
	})
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(strong)) {
		if sum := sums[path]; sum == nil || string(sum.Sum(nil)) != string(strong[path].sum) {
			return lie(file, "its RECORD has a digest of %q that differs from the file's", path)
		}
	}
	return nil
}

func lie(file, format string, args ...any) error {
	return fault.Errorf(fault.Integrity, "use another version, and tell the publisher of the wheel",
		"the wheel %s has wrong metadata: %w", file, fmt.Errorf(format, args...))
}

// folders returns the .dist-info folder, and checks the .data folder.
func folders(name Name, files []archive.File) (info string, err error) {
	for _, f := range files {
		top, rest, inside := strings.Cut(f.Path, "/")
		if !inside {
			continue
		}
		switch own, kind := strings.LastIndexByte(top, '.'), top[strings.LastIndexByte(top, '.')+1:]; {
		case own < 0 || kind != "dist-info" && kind != "data":
		default:
			project, version, _ := strings.Cut(top[:own], "-")
			if !name.owns(project, version) {
				return "", fmt.Errorf("%s is the folder of another package", top)
			}
			if kind == "data" {
				if scheme, _, ok := strings.Cut(rest, "/"); !ok || !slices.Contains([]string{"purelib", "platlib", "headers", "scripts", "data"}, scheme) {
					return "", fmt.Errorf("%q has no place in an installation", f.Path)
				}
				continue
			}
			if info != "" && info != top {
				return "", fmt.Errorf("it has two .dist-info folders, %s and %s", info, top)
			}
			info = top
		}
	}
	if info == "" {
		return "", errors.New("it has no .dist-info folder")
	}
	return info, nil
}

func checkMetadata(name Name, text []byte) error {
	m, err := ParseMetadata(text)
	if err != nil {
		return err
	}
	return m.Of(name)
}

// Of verifies that the metadata are those of a wheel with this name.
func (m *Metadata) Of(name Name) error {
	if !name.owns(m.Name, m.Version) {
		return fmt.Errorf("its METADATA is that of %q %q", m.Name, m.Version)
	}
	return nil
}

// checkWheel compares the WHEEL file with the file name.
func checkWheel(name Name, text []byte) error {
	fields := headers(text)
	if major, _, _ := strings.Cut(strings.Join(fields["wheel-version"], " "), "."); major != "1" {
		return fmt.Errorf("its WHEEL has Wheel-Version %q, expected 1.0", strings.Join(fields["wheel-version"], " "))
	}
	if build := strings.Join(fields["build"], " "); build != "" && build != name.Build {
		return fmt.Errorf("its WHEEL has the build %q, its file name has %q", build, name.Build)
	}
	var tags []string
	for _, tag := range fields["tag"] {
		parts := strings.Split(tag, "-") // writers may compress tags as in a file name
		if len(parts) != 3 {
			return fmt.Errorf("its WHEEL has the tag %q", tag)
		}
		tags = append(tags, Name{Python: strings.Split(parts[0], "."), ABI: strings.Split(parts[1], "."), Systems: strings.Split(parts[2], ".")}.tags()...)
	}
	slices.Sort(tags)
	if tags = slices.Compact(tags); !slices.Equal(tags, name.tags()) {
		return fmt.Errorf("its WHEEL has the tags %s, its file name has %s", strings.Join(tags, " "), strings.Join(name.tags(), " "))
	}
	return nil
}

// A digest is a digest in RECORD other than SHA-256.
type digest struct {
	make func() hash.Hash
	sum  []byte
}

// checkRecord compares RECORD with the files, and returns the digests that
// remain to be compared.
func checkRecord(info string, there map[string]archive.File, text []byte) (map[string]digest, error) {
	in := csv.NewReader(strings.NewReader(string(text)))
	in.FieldsPerRecord = 3
	in.ReuseRecord = true
	listed, strong := map[string]bool{}, map[string]digest{}
	// A file cannot have its own digest, and signatures are added later.
	free := func(path string) bool {
		return path == info+"/RECORD" || path == info+"/RECORD.jws" || path == info+"/RECORD.p7s"
	}
	for {
		row, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("its RECORD is malformed: %w", err)
		}
		path, said, size := row[0], row[1], row[2]
		f, ok := there[path]
		switch {
		case listed[path]:
			return nil, fmt.Errorf("its RECORD lists %q twice", path)
		case !ok:
			return nil, fmt.Errorf("its RECORD lists %q, which is not in the wheel", path)
		case path == info+"/RECORD" && said != "":
			return nil, errors.New("its RECORD has a digest of itself")
		}
		listed[path] = true
		if n, err := strconv.ParseInt(size, 10, 64); size != "" && (err != nil || n != f.Size) {
			return nil, fmt.Errorf("its RECORD has %q bytes for %q, which has %d", size, path, f.Size)
		}
		if free(path) && said == "" {
			continue
		}
		algorithm, value, _ := strings.Cut(said, "=")
		sum, err := base64.RawURLEncoding.Strict().DecodeString(value)
		strength, known := map[string]func() hash.Hash{"sha256": nil, "sha384": sha512.New384, "sha512": sha512.New}[algorithm]
		switch {
		case algorithm == "":
			return nil, fmt.Errorf("its RECORD has no digest of %q", path)
		case !known:
			return nil, fmt.Errorf("its RECORD has a digest of %q with %q, expected sha256 or better", path, algorithm)
		case err != nil:
			return nil, fmt.Errorf("its RECORD has a malformed digest of %q: %w", path, err)
		case strength != nil:
			strong[path] = digest{strength, sum}
		case string(sum) != string(f.SHA256[:]):
			return nil, fmt.Errorf("its RECORD has a digest of %q that differs from the file's", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(there)) {
		if !listed[path] && !free(path) {
			return nil, fmt.Errorf("%q is not in its RECORD", path)
		}
	}
	return strong, nil
}

// checkScripts checks the names that an installation would put on PATH.
func checkScripts(name Name, text []byte, files []archive.File) error {
	var names []string
	for _, e := range EntryPoints(text) {
		if e.Group == "console_scripts" || e.Group == "gui_scripts" {
			names = append(names, e.Name)
		}
	}
	for _, f := range files {
		if parts := strings.SplitN(f.Path, "/", 3); len(parts) == 3 && strings.HasSuffix(parts[0], ".data") && parts[1] == "scripts" {
			names = append(names, parts[2])
		}
	}
	for _, script := range names {
		if syntax.CheckShown(script) != nil || strings.ContainsAny(script, `/\`) || script[0] == '-' {
			return fmt.Errorf("it has a script %q, which is not the name of a program", script)
		}
		if m := taken().FindStringSubmatch(script); m != nil && syntax.NormalProject(name.Project) != m[1] {
			return fmt.Errorf("it has a script %q, which is the name of another program", script)
		}
	}
	return nil
}

// taken has the names of interpreters and installers. A project may use its own
// name.
var taken = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?i)(python|pythonw|pypy|pip|py|pyw|sh|bash|env)[0-9.]*(?:t|-config)?(?:\.(?:exe|cmd|bat|com|py))?$`)
})

// An EntryPoint is one line of entry_points.txt.
type EntryPoint struct{ Group, Name, Object string }

// EntryPoints parses an entry_points.txt, in its order. Extras and spaces are
// removed from objects. For the format, see
// https://packaging.python.org/en/latest/specifications/entry-points/.
func EntryPoints(text []byte) []EntryPoint {
	var points []EntryPoint
	group := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			group = strings.Trim(line, "[] ")
		default:
			name, object, ok := strings.Cut(line, "=")
			if !ok { // configparser accepts both
				name, object, _ = strings.Cut(line, ":")
			}
			object, _, _ = strings.Cut(object, "[")
			points = append(points, EntryPoint{group, strings.TrimSpace(name), strings.ReplaceAll(strings.TrimSpace(object), " ", "")})
		}
	}
	return points
}
