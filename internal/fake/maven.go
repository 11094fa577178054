package fake

import (
	"crypto/sha1" //nolint:gosec // repositories of Maven have it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// MavenRoot is the path of the Maven repository below [Server.URL].
const MavenRoot = "/maven"

// A MavenArtifact is one version of an artifact in a Maven repository.
type MavenArtifact struct {
	Group, Artifact, Version string
	POM                      string            // what is inside <project> besides the coordinates
	Files                    map[string][]byte // by what follows ARTIFACT-VERSION: ".jar", "-linux-x86_64.exe"
	Signer                   string            // fingerprint of the PGP key that each file is signed with; "" for no signatures
	Sums                     []string          // the checksums beside each file, of sha512, sha256 and sha1; nil for the first and the last
}

// Maven publishes an artifact with its POM, and adds its version to the metadata.
// Publishing it again replaces it. It returns the path of the folder, with a
// slash at the end.
func (s *Server) Maven(a MavenArtifact) (dir string) {
	artifact := MavenRoot + "/" + strings.ReplaceAll(a.Group, ".", "/") + "/" + a.Artifact + "/"
	dir = artifact + a.Version + "/"
	files := map[string][]byte{".pom": []byte(fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s</project>\n",
		a.Group, a.Artifact, a.Version, a.POM))}
	for end, body := range a.Files {
		files[end] = body
	}
	kinds := a.Sums
	if kinds == nil {
		kinds = []string{"sha512", "sha1"}
	}
	for end, body := range files {
		name := dir + a.Artifact + "-" + a.Version + end
		s.File(name, body)
		for _, kind := range kinds {
			s.File(name+"."+kind, []byte(MavenSum(kind, body)))
		}
		if a.Signer != "" {
			s.File(name+".asc", []byte(Signature(a.Signer)))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const end = "</versions><lastUpdated>20200102030405</lastUpdated></versioning></metadata>\n"
	metadata := artifact + "maven-metadata.xml"
	text := strings.TrimSuffix(string(s.files[metadata].body), end)
	if text == "" {
		text = fmt.Sprintf("<metadata><groupId>%s</groupId><artifactId>%s</artifactId><versioning><versions>", a.Group, a.Artifact)
	}
	if one := "<version>" + a.Version + "</version>"; !strings.Contains(text, one) {
		text += one
	}
	s.files[metadata] = file{[]byte(text + end), "text/xml"}
	return dir
}

// Signature returns a PGP signature that names a key by its fingerprint, but that
// no key has made.
func Signature(fingerprint string) string {
	key, err := hex.DecodeString(fingerprint)
	must(err)
	named := append([]byte{byte(len(key) + 2), 33, 4}, key...)
	body := append([]byte{4, 0, 1, 8, 0, byte(len(named))}, named...)
	body = append(body, 0, 0, 0xAB, 0xCD, 0, 8, 0xFF)
	packet := append([]byte{0x88, byte(len(body))}, body...)
	return "-----BEGIN PGP SIGNATURE-----\n\n" + base64.StdEncoding.EncodeToString(packet) + "\n-----END PGP SIGNATURE-----\n"
}

// MavenSum returns the content of a checksum file: sha512, sha256 or sha1 in
// hexadecimal.
func MavenSum(kind string, body []byte) string {
	switch kind {
	case "sha512":
		sum := sha512.Sum512(body)
		return hex.EncodeToString(sum[:])
	case "sha256":
		sum := sha256.Sum256(body)
		return hex.EncodeToString(sum[:])
	case "sha1":
		sum := sha1.Sum(body) //nolint:gosec // see above
		return hex.EncodeToString(sum[:])
	}
	panic("fake: checksum " + kind)
}
