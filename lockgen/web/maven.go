package web

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what repositories have; it is no evidence, see evidence
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/checksums"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// mavenSource locks files of Maven repositories: the program of each platform, by
// its classifier, or the jar of a plugin with its runtime dependencies. No Maven
// code runs; see package maven.
type mavenSource struct {
	*origin.Maven
	store    *store.Store
	now      time.Time
	believed bool // [policy] lets the times of publishers count

	documents once.Map[string, []byte]
	resolvers once.Map[int, *maven.Resolver] // by major version of Java
	together  once.Map[string, map[string][]maven.Node]
}

// NewMaven returns the source of Maven repositories. believed says that [policy]
// trusts the times of publishers.
func NewMaven(at *origin.Maven, s *store.Store, now time.Time, believed bool) source.Source {
	return &mavenSource{Maven: at, store: s, now: now, believed: believed}
}

var (
	_ source.Finisher  = (*mavenSource)(nil)
	_ source.Dater     = (*mavenSource)(nil)
	_ source.Packager  = (*mavenSource)(nil)
	_ source.Describer = (*mavenSource)(nil)
)

// document returns a file of the repositories, and requests it at most once.
func (s *mavenSource) document(ctx context.Context, path string) ([]byte, error) {
	return s.documents.Do(path, func() ([]byte, error) { return s.Document(ctx, path, maven.MaxDocument) })
}

// place returns where a file of the repositories is, for messages: its URL, or its path
// in each of several.
func (s *mavenSource) place(path string) string {
	if len(s.Repositories) != 1 {
		return path
	}
	return redact.URL(strings.TrimSuffix(s.Repositories[0].URL, "/") + "/" + path)
}

func (s *mavenSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	own := w.Artifact(lock.Platforms[0])
	if maven.Snapshot(own.Version) {
		return nil, fault.Errorf(fault.Policy, "take a released version", "%s may change: what is called a snapshot is never locked", own)
	}
	pom, err := s.document(ctx, own.POM().Path())
	if err == nil {
		if err = maven.CheckPOM(own, pom); err != nil {
			err = fmt.Errorf("%s: %w", s.place(own.POM().Path()), err)
		}
	}
	if errors.Is(err, fs.ErrNotExist) && w.RuntimeName == "" && w.Language == "" {
		// Programs have no dependencies. So, like mvn, lockgen accepts a program
		// from a repository that has no POM for it.
		err = s.anyOf(ctx, w, platforms, err)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Errorf(fault.Upstream, "check the version; for the available ones, run: lockgen outdated; another repository is named by [registries] maven of plugins.toml, or by settings.xml of mvn",
				"no repository has version %s of %s: %w", own.Version, own.Package(), err)
		}
		return nil, err
	}
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	switch {
	case w.Language != "":
		err = s.libraries(ctx, w, platforms, res)
	case w.RuntimeName == "":
		err = s.perPlatform(ctx, w, platforms, res)
	default:
		err = s.jars(ctx, w, platforms, res)
	}
	return res, err
}

// perPlatform returns the file of each platform, and the jar with the .proto files.
func (s *mavenSource) perPlatform(ctx context.Context, w *plan.Want, platforms []lock.Platform, res *source.Resolution) error {
	gone := make([]error, len(platforms))
	var g errgroup.Group
	for i, p := range platforms {
		g.Go(func() error {
			_, gone[i] = probe(ctx, s.Client, func(try func(address string) error) error { return s.Addresses(w.Artifact(p).Path(), try) })
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, p := range platforms {
		if gone[i] != nil {
			res.Missing[p.Name] = source.Missing{Reason: source.NoFile, Err: gone[i]}
			continue
		}
		a := s.artifact(w.Artifact(p))
		a.Platforms = []string{p.Name}
		a.ReadFor(w, p)
		res.Artifacts = append(res.Artifacts, a)
	}
	if len(platforms) > 0 && len(res.Artifacts) == 0 {
		if !errors.Is(gone[0], fs.ErrNotExist) {
			return gone[0]
		}
		var names []string
		for _, p := range platforms {
			names = append(names, p.Name)
		}
		own := w.Artifact(platforms[0])
		return fault.Errorf(fault.Upstream, "take a version whose programs it has, or ask its operator: a proxy may keep programs back; another repository is named by [registries] maven of plugins.toml, or by settings.xml of mvn",
			"the repository has version %s of %s, but no program of it for %s: %w", own.Version, own.Package(), strings.Join(names, ", "), gone[0])
	}
	if protos, ok := w.Protos(); ok {
		a := s.artifact(protos)
		a.File.Archive = "zip"
		for _, p := range platforms {
			a.Platforms = append(a.Platforms, p.Name)
		}
		res.Artifacts = append(res.Artifacts, a)
	}
	return s.evidence(ctx, res.Artifacts)
}

// anyOf returns nil if the repositories have the program for one platform,
// otherwise missing.
func (s *mavenSource) anyOf(ctx context.Context, w *plan.Want, platforms []lock.Platform, missing error) error {
	for _, p := range platforms {
		if err := s.there(ctx, w.Artifact(p), 0); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return missing
}

// jars returns the closure of the plugin, which is the same on every platform.
func (s *mavenSource) jars(ctx context.Context, w *plan.Want, platforms []lock.Platform, res *source.Resolution) error {
	own := w.Artifact(lock.Platforms[0])
	nodes, err := s.resolver(w).Closure(ctx, own)
	if err != nil {
		return err
	}
	s.take(w, platforms, nodes, res)
	if nodes[0].Coordinate != own {
		return fault.Errorf(fault.Usage, "write its new coordinates as the source of the entry", "%s was moved to %s", own, nodes[0].Coordinate)
	}
	return s.evidence(ctx, res.Artifacts)
}

// resolver returns the resolver for the Java version that runs w.
func (s *mavenSource) resolver(w *plan.Want) *maven.Resolver {
	java := javaOf(w)
	resolver, _ := s.resolvers.Do(java, func() (*maven.Resolver, error) { return &maven.Resolver{Document: s.document, Java: java}, nil })
	return resolver
}

// take returns artifacts for the jars among nodes.
func (s *mavenSource) take(w *plan.Want, platforms []lock.Platform, nodes []maven.Node, res *source.Resolution) {
	for _, n := range nodes {
		if n.Relocated != "" {
			res.Notes = append(res.Notes, fmt.Sprintf("%s: %s is called %s now", w, n.Relocated, n.Coordinate))
		}
		if !n.File {
			continue
		}
		a := s.artifact(n.Coordinate)
		a.Aged = n.Ranged
		for _, p := range platforms {
			a.Platforms = append(a.Platforms, p.Name)
		}
		res.Artifacts = append(res.Artifacts, a)
	}
}

// javaOf is the major version of the Java that runs w, or the newest known one if
// none is locked yet.
func javaOf(w *plan.Want) int {
	_, version, _ := strings.Cut(w.Runtime, "@")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n > 1 {
		return n
	}
	return plan.JavaHint
}

func (s *mavenSource) artifact(c maven.Coordinate) *source.Artifact {
	return &source.Artifact{
		Kind: lock.Maven, Key: c.Key(), Label: c.String(), Trust: "first-use",
		File:     lock.File{Name: c.Package(), Version: c.Version},
		Identity: lock.KindOf(lock.Maven).Identity("", c.Key(), lock.File{}),
		Get: func(ctx context.Context, in *store.Ingest) error {
			return s.download(ctx, c, in)
		},
		Keep: func(string) int { return 0 },
	}
}

func (s *mavenSource) download(ctx context.Context, c maven.Coordinate, in remote.Sink) error {
	return s.Addresses(c.Path(), func(address string) error {
		if in.Offset() > 0 {
			if err := in.Reset(); err != nil {
				return err
			}
		}
		return s.Client.Download(ctx, address, in, remote.DownloadOptions{})
	})
}

// evidence looks for the checksums next to the files
// (https://maven.apache.org/resolver/about-checksums.html), the strongest first. A
// SHA-512 or SHA-256 comes from the publisher and counts as a checksum file. Every
// repository makes a SHA-1 itself: it detects damage, but does not prove who made
// the file. The key that a signature names is recorded. The signature is not
// verified, because nothing says which key belongs to the publisher, so it adds no
// trust.
func (s *mavenSource) evidence(ctx context.Context, artifacts []*source.Artifact) error {
	byKey := map[string]*source.Artifact{}
	var keys []string
	for _, a := range artifacts {
		byKey[a.Key] = a
		keys = append(keys, a.Key)
	}
	for _, found := range source.Each(keys, func(key string) (map[string]source.Record, error) { return nil, s.beside(ctx, byKey[key]) }) {
		if found.Err != nil {
			return found.Err
		}
	}
	return nil
}

func (s *mavenSource) beside(ctx context.Context, a *source.Artifact) error {
	c, _ := maven.ParseKey(a.File.Name, a.File.Version, a.Key)
	signer, err := s.signer(ctx, c)
	if err != nil {
		return err
	}
	a.File.Signer = signer
	kind, sum, err := s.checksum(ctx, c)
	switch kind {
	case "sha512":
		a.Digest, a.Trust = "sha512-"+source.Base64OfHex(sum), "checksum-file"
		a.File.Integrity = a.Digest
	case "sha256":
		a.Digest, a.Trust = "sha256-"+source.Base64OfHex(sum), "checksum-file"
	case "sha1":
		a.Get = func(ctx context.Context, in *store.Ingest) error {
			counting := &sha1Sink{Ingest: in, sum: sha1.New()} //nolint:gosec // see evidence
			if err := s.download(ctx, c, counting); err != nil {
				return err
			}
			if got := hex.EncodeToString(counting.sum.Sum(nil)); got != sum {
				return fault.Errorf(fault.Integrity, "try again; if it happens again, the repository or a proxy sends other bytes than it promises: do not use them",
					"the download of %s is not what the repository promises: got SHA-1 %s, expected %s", c, got, sum)
			}
			return nil
		}
	}
	return err
}

// side is a file beside another one; the error matches [fs.ErrNotExist] if there is
// none. That is also what 403 says here, with which stores of objects answer for what
// they do not have: each repository has shown before that it lets the user read. Who
// could forge this answer could forge 404 as well.
func (s *mavenSource) side(ctx context.Context, path string, limit int64) ([]byte, error) {
	return s.documents.Do(path, func() (body []byte, err error) {
		err = s.Addresses(path, func(address string) error {
			body, _, err = s.Client.Document(ctx, address, "*/*", limit)
			if remote.Answered(err, http.StatusForbidden) && !errors.Is(err, remote.ErrRateLimit) {
				return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
			}
			return err
		})
		return body, err
	})
}

// signer returns the key that the signature next to a file names, or "" if there is
// no signature.
func (s *mavenSource) signer(ctx context.Context, c maven.Coordinate) (string, error) {
	const end = ".asc"
	body, err := s.side(ctx, c.Path()+end, maxSignature)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	key, err := maven.Signer(body)
	if err != nil {
		return "", fault.Errorf(fault.Upstream, "ask the operator of the repository", "%s%s of the repository is no signature of PGP: %w", c.File(), end, err)
	}
	return key, nil
}

// maxSignature is the size limit of a signature, in bytes.
const maxSignature = 64 << 10

// checksum returns the strongest checksum next to a file, in hexadecimal. kind is
// "" if there is none.
func (s *mavenSource) checksum(ctx context.Context, c maven.Coordinate) (kind, sum string, err error) {
	for kind, digits := range orderedSums {
		body, err := s.side(ctx, c.Path()+"."+kind, checksums.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		if sum := oneSum(body, digits); sum != "" {
			return kind, sum, nil
		}
		return "", "", fault.Errorf(fault.Upstream, "ask the operator of the repository", "%s.%s of the repository holds no digest", c.File(), kind)
	}
	return "", "", nil
}

// orderedSums lists the checksums that count, the strongest first, with their
// number of digits.
func orderedSums(yield func(string, int) bool) {
	_ = yield("sha512", 128) && yield("sha256", 64) && yield("sha1", 40)
}

// oneSum returns the only word that is a hexadecimal number of that length. Some
// files contain a file name as well.
func oneSum(body []byte, digits int) (sum string) {
	for word := range bytes.FieldsSeq(body) {
		word := strings.ToLower(string(word))
		if len(word) == digits && strings.Trim(word, "0123456789abcdef") == "" {
			if sum != "" && sum != word {
				return ""
			}
			sum = word
		}
	}
	return sum
}

// sha1Sink computes the SHA-1 of what is written to the store.
type sha1Sink struct {
	*store.Ingest
	sum hash.Hash
}

func (s *sha1Sink) Write(p []byte) (int, error) {
	n, err := s.Ingest.Write(p)
	s.sum.Write(p[:n])
	return n, err
}

func (s *sha1Sink) Reset() error {
	s.sum.Reset()
	return s.Ingest.Reset()
}

// Versions reads maven-metadata.xml, with one request for each repository. It has
// no times, so a version is as old as this machine has known it.
func (s *mavenSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	m, err := s.metadata(ctx, w)
	if err != nil {
		return nil, err
	}
	seen, err := s.store.FirstSeen(ctx, "maven "+w.Artifact(lock.Platforms[0]).Package(), m.Versions, s.now)
	var releases []plan.Release
	for _, v := range m.Versions {
		releases = append(releases, plan.Release{Version: v, Released: seen[v], Seen: true})
	}
	return releases, err
}

// metadata merges what all repositories say about a package.
func (s *mavenSource) metadata(ctx context.Context, w *plan.Want) (*maven.Metadata, error) {
	pkg := w.Artifact(lock.Platforms[0]).Package()
	all := &maven.Metadata{}
	found := false
	for _, r := range s.Repositories {
		at := strings.TrimSuffix(r.URL, "/") + "/" + maven.MetadataPath(pkg)
		body, err := s.documents.Do(at, func() ([]byte, error) {
			body, _, err := s.Client.Document(ctx, at, "*/*", maven.MaxDocument)
			return body, err
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := maven.ParseMetadata(pkg, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", redact.URL(at), err)
		}
		found = true
		for _, v := range m.Versions {
			if !slices.Contains(all.Versions, v) {
				all.Versions = append(all.Versions, v)
			}
		}
		if m.Updated.After(all.Updated) {
			all.Updated = m.Updated
		}
	}
	if !found {
		return nil, fault.Missingf(fault.Upstream, "is it GROUP:ARTIFACT as its publisher writes it? another repository is named by [registries] maven of plugins.toml, or by settings.xml of mvn",
			"no repository has a list of the versions of %s, %s", pkg, s.place(maven.MetadataPath(pkg)))
	}
	return all, nil
}

// Date returns when the list last changed, if [policy] trusts publishers. Every
// version in it existed by then.
func (s *mavenSource) Date(ctx context.Context, w *plan.Want, releases []*plan.Release) error {
	if !s.believed {
		return nil
	}
	m, err := s.metadata(ctx, w)
	if err != nil || m.Updated.IsZero() {
		return err
	}
	for _, r := range releases {
		if m.Updated.Before(r.Released) {
			r.Released, r.Seen = m.Updated, false
		}
	}
	return nil
}

// Upstream requests the checksums again, or, without one that counts, the first
// bytes of the file.
func (s *mavenSource) Upstream(ctx context.Context, _ *plan.Want, v *lock.Version) map[string]source.Answer {
	keys := slices.Collect(func(yield func(string) bool) {
		for key := range v.Files {
			if !yield(key) {
				return
			}
		}
	})
	slices.Sort(keys)
	answers := make([]source.Answer, len(keys))
	index := map[string]int{}
	for i, key := range keys {
		index[key] = i
	}
	source.Each(keys, func(key string) (map[string]source.Record, error) {
		answers[index[key]] = s.today(ctx, key, v.Files[key])
		return nil, nil
	})
	byKey := map[string]source.Answer{}
	for i, key := range keys {
		byKey[key] = answers[i]
	}
	return byKey
}

func (s *mavenSource) today(ctx context.Context, key string, f lock.File) source.Answer {
	c, _ := maven.ParseKey(f.Name, f.Version, key)
	kind, sum, err := s.checksum(ctx, c)
	if err != nil {
		return source.Answer{Err: err}
	}
	if err := s.there(ctx, c, f.Size); err != nil {
		return source.Answer{Err: err}
	}
	switch {
	case kind == "sha512" && f.Integrity != "":
		return source.Answer{Record: source.Record{Digest: "sha512-" + source.Base64OfHex(sum)}, Expected: f.Integrity}
	case kind == "sha256":
		return source.Answer{Record: source.Record{Digest: "sha256-" + source.Base64OfHex(sum)}, Expected: "sha256-" + source.Base64OfHex(f.SHA256)}
	}
	return source.Answer{Unproved: "only a download would tell whether it has the same bytes; run: lockgen check --upstream --verify"}
}

// there requests the first bytes of a file, and returns its length.
func (s *mavenSource) there(ctx context.Context, c maven.Coordinate, size int64) error {
	err := s.Addresses(c.Path(), func(address string) error {
		return s.Client.Probe(ctx, address, size)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Errorf(fault.Upstream, source.GoneHint, "%s is no longer in any repository: %w", c, err)
	}
	return err
}

func (s *mavenSource) Locked(w *plan.Want, key string, f lock.File) (*source.Artifact, error) {
	c, ok := maven.ParseKey(f.Name, f.Version, key)
	if !ok {
		return nil, fault.Errorf(fault.Lock, "run: lockgen update", "%q is not a file of %s %s", key, f.Name, f.Version)
	}
	a := s.artifact(c)
	a.File.Archive, a.File.Integrity, a.Digest = f.Archive, f.Integrity, f.Integrity
	if w.RuntimeName == "" && c.Ext != "jar" {
		for _, p := range lock.Platforms {
			if f.For(p.Name) {
				a.ReadFor(w, p)
				break
			}
		}
	}
	return a, nil
}

func (s *mavenSource) Executable(w *plan.Want, p lock.Platform, tree source.Tree, contents map[string]*source.Content) (string, error) {
	if w.Language != "" {
		return "", nil
	}
	if w.RuntimeName == "" {
		return source.NativeExecutable(w, p, tree, contents)
	}
	jar := w.Binaries(p)[0]
	if _, ok := tree[jar]; !ok {
		return "", fault.Errorf(fault.Internal, "", "there is no %s in it", jar)
	}
	return jar, nil
}

// Finish finds the class that Java starts: the one in the entry, or else the
// Main-Class of the jar
// (https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html). It checks
// that the locked Java can load it.
func (s *mavenSource) Finish(w *plan.Want, v *lock.Version, contents map[string]*source.Content) error {
	if w.Language != "" {
		return s.readable(v, contents)
	}
	if w.RuntimeName == "" {
		return nil
	}
	own := w.Artifact(lock.Platforms[0])
	main := contents[own.Key()]
	if main == nil {
		return fault.Errorf(fault.Internal, "", "%s was not read", own)
	}
	v.Program, v.Main = w.Binary, w.MainClass
	if v.Main == "" {
		text, err := s.inJar(main, "META-INF/MANIFEST.MF")
		if err != nil {
			return fmt.Errorf("%s: %w", own, err)
		}
		if v.Main = mainClass(text); v.Main == "" {
			return fault.Errorf(fault.Usage, `add to the entry: main = "com.example.Main"`, "%s does not say which of its classes is to be started", own)
		}
	}
	if err := syntax.CheckClass(v.Main); err != nil {
		return fault.Errorf(fault.Usage, `write into the entry: main = "com.example.Main"`, "%s: %w", own, err)
	}
	file := strings.ReplaceAll(v.Main, ".", "/") + ".class"
	for _, c := range append([]*source.Content{main}, values(contents)...) {
		class, err := s.inJar(c, file)
		if err != nil {
			return fmt.Errorf("%s: %w", own, err)
		}
		if class == nil {
			continue
		}
		// The class file format: magic, minor, major; 45 is Java 1.1.
		if len(class) >= 8 && binary.BigEndian.Uint32(class) == 0xcafebabe {
			if needs := int(binary.BigEndian.Uint16(class[6:])) - 44; needs > javaOf(w) {
				return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, fmt.Sprintf("take an older version of it, or run: lockgen add '%s@>=%d'", w.RuntimeName, needs),
					"it is compiled for Java %d, and %s is locked", needs, w.Runtime))
			}
		}
		return nil
	}
	return fault.Errorf(fault.Usage, `write into the entry: main = "com.example.Main"`, "none of its jars has the class %s", v.Main)
}

func values(contents map[string]*source.Content) (list []*source.Content) {
	for _, c := range contents {
		list = append(list, c)
	}
	return list
}

// maxInJar limits how much of a file in a jar is read, in bytes.
const maxInJar = 1 << 20

// inJar returns the beginning of a file in a jar, or nil if the jar does not have
// it.
func (s *mavenSource) inJar(c *source.Content, name string) ([]byte, error) {
	f, err := s.store.Blob(context.Background(), c.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := zip.NewReader(f, c.Digest.Size)
	if err != nil {
		return nil, fault.Errorf(fault.Integrity, "use another version", "%s is no jar: %w", path.Base(name), err)
	}
	in, err := r.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, maxInJar))
}

// mainClass returns the Main-Class of a manifest. Long lines of a manifest continue
// after a space.
func mainClass(manifest []byte) string {
	text := strings.NewReplacer("\r\n ", "", "\n ", "", "\r ", "").Replace(string(manifest))
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Main-Class") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Programs returns the program of a platform, or else the jar, named after the
// artifact. A version has no list of files, so each is requested.
func (s *mavenSource) Programs(ctx context.Context, w *plan.Want, _ []lock.Platform) ([]source.Program, error) {
	jar, ok := w.Jar()
	if ok {
		found := make([]error, len(lock.Platforms))
		var g errgroup.Group
		for i, p := range lock.Platforms {
			g.Go(func() error {
				found[i] = s.there(ctx, w.Program(p), 0)
				return nil
			})
		}
		_ = g.Wait()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, err := range found {
			if err == nil {
				return []source.Program{{Name: jar.Artifact, Binary: jar.Artifact}}, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	if err := s.there(ctx, jar, 0); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.Missingf(fault.Upstream, "is the version right, and does the jar have a classifier? then write maven:GROUP:ARTIFACT:CLASSIFIER; another repository is named by [registries] maven of plugins.toml, or by settings.xml of mvn",
			"no repository has a program of %s %s for any platform, nor %s", jar.Package(), jar.Version, jar.File())
	}
	return []source.Program{{Name: jar.Artifact, Binary: jar.Artifact, Runtime: "java"}}, nil
}

func (s *mavenSource) Pack(ctx context.Context, w *plan.Want) (*source.Artifact, []string, error) {
	own := w.Artifact(lock.Platforms[0])
	if maven.Snapshot(own.Version) {
		return nil, nil, fault.Errorf(fault.Policy, "take a released version", "%s may change: what is called a snapshot is never locked", own)
	}
	a := s.artifact(own)
	a.File.Archive = "zip"
	return a, nil, s.evidence(ctx, []*source.Artifact{a})
}
