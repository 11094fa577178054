// Package executable determines the platform of an executable from its first
// bytes.
package executable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// HeadSize is the number of bytes that are read from an executable: enough for
// the header of every format, and for the PE header where linkers put it.
const HeadSize = 4096

// Check reports an error of class [fault.Integrity] unless an executable is one
// for the platform: ELF, Mach-O or PE for its processor. A script, which starts
// with #!, is executable on every platform except Windows.
func Check(p lock.Platform, path string, head []byte) error {
	found := What(head)
	want := p.OS + " " + p.Arch
	for _, f := range found {
		if f == want || f == "script" && p.OS != "windows" {
			return nil
		}
	}
	if p.Rosetta != "" {
		other, _ := lock.LookupPlatform(p.Rosetta)
		if slices.Contains(found, other.OS+" "+other.Arch) {
			return fault.About(fault.AboutArchives, fault.Errorf(fault.Integrity, fmt.Sprintf("to run it with Rosetta, add to the entry: platforms.%s = { emulate = %q }", p.Name, other.Name),
				"%s is not an executable for %s: found %s", path, p.Name, strings.Join(found, ", ")))
		}
	}
	return fault.Errorf(fault.Integrity, "check source and binary of the entry, and the version",
		"%s is not an executable for %s: found %s", path, p.Name, strings.Join(found, ", "))
}

// Native reports whether a file is compiled, for any platform.
func Native(head []byte) bool {
	return slices.ContainsFunc(What(head), func(found string) bool {
		first, _, _ := strings.Cut(found, " ")
		return slices.Contains([]string{"linux", "macos", "windows", "ELF", "Mach-O", "PE"}, first)
	})
}

// CheckFile is [Check] for a file. Its name in messages is path.
func CheckFile(p lock.Platform, path, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, HeadSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return Check(p, path, head[:n])
}

// What describes a file by its first bytes, with the names of the platform
// table. A fat Mach-O has several platforms.
func What(head []byte) []string {
	le, be := binary.LittleEndian, binary.BigEndian
	switch {
	case len(head) == 0:
		return []string{"an empty file"}
	case bytes.HasPrefix(head, []byte("#!")):
		return []string{"script"}
	case bytes.HasPrefix(head, []byte("\x7fELF")) && len(head) >= 20:
		order := binary.ByteOrder(le)
		if head[5] == 2 {
			order = be
		}
		switch machine := order.Uint16(head[18:]); machine { // ELF: e_machine
		case 62:
			return []string{"linux x86_64"}
		case 183:
			return []string{"linux aarch64"}
		default:
			return []string{fmt.Sprintf("ELF for machine %d", machine)}
		}
	case len(head) >= 8 && le.Uint32(head) == 0xfeedfacf: // Mach-O, 64 bits
		return []string{machO(le.Uint32(head[4:]))}
	case len(head) >= 8 && be.Uint32(head) == 0xcafebabe && be.Uint32(head[4:]) < 20: // fat; larger numbers are Java classes
		var found []string
		for i := range int(be.Uint32(head[4:])) {
			if at := 8 + 20*i; at+4 <= len(head) {
				found = append(found, machO(be.Uint32(head[at:])))
			}
		}
		return found
	case bytes.HasPrefix(head, []byte("MZ")) && len(head) >= 64:
		at := int(le.Uint32(head[60:]))
		if at < 0 || at+6 > len(head) || string(head[at:at+4]) != "PE\x00\x00" {
			return []string{"a DOS program"}
		}
		switch machine := le.Uint16(head[at+4:]); machine { // COFF: Machine
		case 0x8664:
			return []string{"windows x86_64"}
		case 0xaa64:
			return []string{"windows aarch64"}
		default:
			return []string{fmt.Sprintf("PE for machine %#x", machine)}
		}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return []string{"a zip archive"}
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return []string{"gzip data"}
	case looksLikeHTML(head):
		return []string{"HTML (a proxy or login page?)"}
	}
	return []string{fmt.Sprintf("a file that starts with %q", head[:min(16, len(head))])}
}

func machO(cpu uint32) string {
	switch cpu {
	case 0x01000007:
		return "macos x86_64"
	case 0x0100000c:
		return "macos aarch64"
	}
	return fmt.Sprintf("Mach-O for processor %#x", cpu)
}

func looksLikeHTML(head []byte) bool {
	start := strings.ToLower(string(bytes.TrimLeft(head[:min(512, len(head))], " \t\r\n\xef\xbb\xbf")))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}
