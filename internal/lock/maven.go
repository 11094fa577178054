package lock

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// MavenLib is the folder of a tree with the jars, by key, of a plugin that Java
// runs; MavenProtos has the .proto files of other jars.
const (
	MavenLib    = "lib"
	MavenProtos = "include"
)

// signerForm matches the ID of a PGP key, and its fingerprint.
var signerForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9A-F]{16}|[0-9A-F]{40}|[0-9A-F]{64})$`)
})

// signedBy matches the signer of a file of another kind.
var signedBy = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[!#-[\]-~]+` + via + `[!#-[\]-~]+$`) })

// via stands in a signer between an identity and who vouches for it.
const via = " via "

// Signer is the form of one whose signature was verified: an identity, and who vouches
// for it.
func Signer(name, issuer string) string { return name + via + issuer }

// CutSigner is the inverse of [Signer]; verified is false for nobody, and for a PGP key.
func CutSigner(signer string) (name, issuer string, verified bool) { return strings.Cut(signer, via) }

// checkArtifact accepts GROUP:ARTIFACT and GROUP:ARTIFACT:CLASSIFIER.
func checkArtifact(name string) error {
	parts := strings.Split(name, ":")
	ok := (len(parts) == 2 || len(parts) == 3) && len(name) <= 214
	for _, part := range parts {
		ok = ok && syntax.IsWord(part) && !strings.Contains(part, "..")
	}
	if !ok {
		return fmt.Errorf("package %q is not of the form GROUP:ARTIFACT or GROUP:ARTIFACT:CLASSIFIER", name)
	}
	return nil
}

// mavenFile splits the key of a file: GROUP/ARTIFACT-VERSION[-CLASSIFIER].EXT
// of the package GROUP:ARTIFACT.
func mavenFile(key string, f File) (classifier, ext string, ok bool) {
	group, artifact, _ := strings.Cut(f.Name, ":")
	rest, ok := strings.CutPrefix(key, group+"/"+artifact+"-"+f.Version)
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 0 || dot > 0 && rest[0] != '-' || dot == 1 {
		return "", "", false
	}
	return strings.TrimPrefix(rest[:dot], "-"), rest[dot+1:], true
}

// Classifier returns the classifier of a file of kind maven; "" for none.
func (f File) Classifier(key string) string {
	classifier, _, _ := mavenFile(key, f)
	return classifier
}

func validateMavenFile(key string, f File) error {
	if err := checkArtifact(f.Name); err != nil || strings.Count(f.Name, ":") != 1 || f.Version == "" {
		return errors.New("name (GROUP:ARTIFACT) and version are required")
	}
	classifier, ext, ok := mavenFile(key, f)
	switch {
	case !ok || strings.Contains(ext, "/") || classifier != "" && !syntax.IsWord(classifier):
		return fmt.Errorf("it does not have the name of a file of %s %s", f.Name, f.Version)
	case ext != "jar" && ext != "exe":
		return fmt.Errorf("%q is neither a jar nor an exe", ext)
	case f.Archive != "" && (f.Archive != "zip" || ext != "jar"):
		return fmt.Errorf("archive %q must be zip for a jar", f.Archive)
	case f.Signer != "" && !signerForm().MatchString(f.Signer):
		return fmt.Errorf("signer %q is not the fingerprint or the ID of a PGP key, in upper-case hexadecimal", f.Signer)
	case f.Integrity != "":
		return syntax.CheckSHA512("integrity", f.Integrity)
	}
	return nil
}

// validateMaven validates the fields that say how a version is run.
func (v *Version) validateMaven() error {
	if v.Runtime == "" || v.IsRuntime() {
		if v.Main != "" {
			return errors.New("main is set without a runtime")
		}
		return nil
	}
	if err := syntax.CheckClass(v.Main); err != nil {
		return err
	}
	if err := syntax.CheckProgram("program", v.Program); err != nil {
		return err
	}
	for name, cell := range v.Platforms {
		if key := strings.TrimPrefix(cell.Binary, MavenLib+"/"); cell.Locked() && (v.Files[key].SHA256 == "" || path.Ext(key) != ".jar") {
			return fmt.Errorf("platform %s: binary %q is not among the jars", name, cell.Binary)
		}
	}
	return nil
}

// Jars returns the paths, in a platform's tree, of the jars that Java runs a
// version from: the plugin's own first, then the others by name.
func (v *Version) Jars(platform string) []string {
	own := v.Platforms[platform].Binary
	jars := []string{own}
	for _, key := range v.FilesFor(platform) {
		if jar := MavenLib + "/" + key; v.Files[key].Archive == "" && jar != own {
			jars = append(jars, jar)
		}
	}
	return jars
}
