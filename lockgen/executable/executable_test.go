package executable

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func elf(order binary.ByteOrder, machine uint16) []byte {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	if order == binary.BigEndian {
		head[5] = 2
	}
	order.PutUint16(head[18:], machine)
	return head
}

func pe(at uint32, machine uint16) []byte {
	head := make([]byte, 512)
	copy(head, "MZ")
	binary.LittleEndian.PutUint32(head[60:], at)
	if int(at)+6 <= len(head) {
		copy(head[at:], "PE\x00\x00")
		binary.LittleEndian.PutUint16(head[at+4:], machine)
	}
	return head
}

func mach(cpu uint32) []byte {
	head := make([]byte, 32)
	binary.LittleEndian.PutUint32(head, 0xfeedfacf)
	binary.LittleEndian.PutUint32(head[4:], cpu)
	return head
}

func fat(cpus ...uint32) []byte {
	head := make([]byte, 8+20*len(cpus))
	binary.BigEndian.PutUint32(head, 0xcafebabe)
	binary.BigEndian.PutUint32(head[4:], uint32(len(cpus)))
	for i, cpu := range cpus {
		binary.BigEndian.PutUint32(head[8+20*i:], cpu)
	}
	return head
}

func TestMagic(t *testing.T) {
	const x64, arm = 0x01000007, 0x0100000c
	for _, tt := range []struct {
		name  string
		head  []byte
		fits  string // platforms, space-separated
		found string // in the refusal
	}{
		{"elf x64", elf(binary.LittleEndian, 62), "linux-x86_64", "linux x86_64"},
		{"elf arm", elf(binary.LittleEndian, 183), "linux-aarch64", "linux aarch64"},
		{"elf of a big-endian machine", elf(binary.BigEndian, 22), "", "ELF for machine 22"},
		{"pe x64", pe(128, 0x8664), "windows-x86_64", "windows x86_64"},
		{"pe arm", pe(248, 0xaa64), "windows-aarch64", "windows aarch64"},
		{"pe of 32 bits", pe(128, 0x14c), "", "PE for machine 0x14c"},
		{"pe whose header is elsewhere", pe(1<<31, 0), "", "DOS"},
		{"mach-o x64", mach(x64), "macos-x86_64", "macos x86_64"},
		{"mach-o arm", mach(arm), "macos-aarch64", "macos aarch64"},
		{"fat", fat(x64, arm), "macos-x86_64 macos-aarch64", "macos x86_64, macos aarch64"},
		{"fat, cut", fat(x64, arm)[:20], "macos-x86_64", "macos x86_64"},
		{"java", []byte("\xca\xfe\xba\xbe\x00\x00\x00\x41"), "", "starts with"},
		{"script", []byte("#!/bin/sh\n"), "linux-x86_64 linux-aarch64 macos-x86_64 macos-aarch64", "script"},
		{"html", []byte("\n<!DOCTYPE HTML>"), "", "HTML"},
		{"zip", []byte("PK\x03\x04"), "", "a zip archive"},
		{"gzip", []byte("\x1f\x8b\x08"), "", "gzip"},
		{"text", []byte("hello"), "", `"hello"`},
		{"nothing", nil, "", "an empty file"},
	} {
		for _, p := range lock.Platforms {
			err := Check(p, "bin/x", tt.head)
			if fits := strings.Contains(" "+tt.fits+" ", " "+p.Name+" "); fits != (err == nil) {
				t.Errorf("%s on %s: %v", tt.name, p.Name, err)
			}
			if err != nil && (fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), tt.found) || !strings.Contains(err.Error(), p.Name)) {
				t.Errorf("%s on %s: class %v: %v", tt.name, p.Name, fault.Of(err), err)
			}
		}
	}
}
