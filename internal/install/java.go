package install

import (
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// javaVariables would make Java load or print something else (`java
// --help-extra`, JDK_JAVA_OPTIONS; the others are those of the virtual
// machine).
var javaVariables = []string{"JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "IBM_JAVA_OPTIONS", "OPENJ9_JAVA_OPTIONS", "CLASSPATH"}

// javaFlags make a short run faster, and independent of the locale. Since Java
// 24, protobuf-java needs a flag to avoid a warning (JEP 498).
func javaFlags(version string) []string {
	flags := []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Dfile.encoding=UTF-8", "-Duser.language=en"}
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n >= 24 {
		flags = append(flags, "--sun-misc-unsafe-memory-access=allow")
	}
	return flags
}

// java writes a launcher for the main class of an entry.
func (i *Installer) java(e *lock.Entry, dir string, platform string, runtimeDir string, runtimeCell lock.Cell) (launcher string, depends []string, err error) {
	java := filepath.Join(runtimeDir, filepath.FromSlash(runtimeCell.Binary))
	cell, served, err := e.Locked.Cell(platform)
	if err != nil {
		return "", nil, err
	}
	var jars []string
	for _, jar := range e.Locked.Jars(served) {
		jars = append(jars, filepath.Join(dir, filepath.FromSlash(jar)))
	}
	separator := ":"
	if i.Host.OS == "windows" {
		separator = ";"
	}
	argv := append(append([]string{java}, javaFlags(e.Runtime.Version)...), "-cp", strings.Join(jars, separator), e.Locked.Main)
	name := path.Join(cell.Tree[:16]+"-"+runtimeCell.Tree[:16], Command(e, cell))
	if launcher, err = i.launcher(name, javaVariables, argv); err != nil {
		return "", nil, err
	}
	return launcher, append(jars, java, launcher), nil
}
