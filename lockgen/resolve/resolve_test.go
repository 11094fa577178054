package resolve

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
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
		{"java", []byte("\xca\xfe\xba\xbe\x00\x00\x00\x41"), "", "begins with"},
		{"script", []byte("#!/bin/sh\n"), "linux-x86_64 linux-aarch64 macos-x86_64 macos-aarch64", "script"},
		{"html", []byte("\n<!DOCTYPE HTML>"), "", "HTML"},
		{"zip", []byte("PK\x03\x04"), "", "a zip archive"},
		{"gzip", []byte("\x1f\x8b\x08"), "", "gzip"},
		{"text", []byte("hello"), "", `"hello"`},
		{"nothing", nil, "", "an empty file"},
	} {
		for _, p := range lock.Platforms {
			err := checkMagic(p, "bin/x", tt.head)
			if fits := strings.Contains(" "+tt.fits+" ", " "+p.Name+" "); fits != (err == nil) {
				t.Errorf("%s on %s: %v", tt.name, p.Name, err)
			}
			if err != nil && (fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), tt.found) || !strings.Contains(err.Error(), p.Name)) {
				t.Errorf("%s on %s: class %v: %v", tt.name, p.Name, fault.Of(err), err)
			}
		}
	}
}

// TestAllowed has the cases of npm-install-checks.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		list string
		want bool // for linux
	}{
		{"", true}, {"any", true}, {"linux", true}, {"darwin", false}, {"darwin linux", true},
		{"!linux", false}, {"!win32", true}, {"!win32 !darwin", true}, {"!linux linux", false}, {"!win32 darwin", false},
	} {
		if got := allowed(strings.Fields(tt.list), "linux"); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.list, got, tt.want)
		}
	}
}

func TestNamed(t *testing.T) {
	for file, want := range map[string]bool{
		"node_modules/x/protoc-gen-x": true, "node_modules/x/bin/protoc-gen-x.js": true, "node_modules/x/protoc-gen-x.mjs": true,
		"node_modules/x/cli.js": false, "node_modules/x/protoc-gen-x2": false, "node_modules/x/protoc-gen": false, "js": false,
	} {
		if got := named(file, "protoc-gen-x"); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}

func TestFetchOnce(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u := newUpdate(&manifest.Manifest{}, Options{Settings: Settings{Store: s, UI: ui.New("lockgen", io.Discard, io.Discard)}})
	defer u.Show()()
	sum := sha512.Sum512([]byte("x"))
	digest := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	var downloads atomic.Int32
	artifact := func(identity, digest string) *Artifact {
		return &Artifact{
			Label: identity, identity: identity, digest: digest,
			get: func(_ context.Context, in *store.Ingest) error {
				downloads.Add(1)
				_, err := in.Write([]byte("x"))
				return err
			},
			read: archive.Options{Format: "raw", RawName: "x"}, keep: func(string) int { return 1 },
		}
	}
	var fetching sync.WaitGroup
	for range 8 {
		fetching.Go(func() {
			if errs, err := u.fetch(t.Context(), []*Artifact{artifact("a@1", digest), artifact("a@1", digest), artifact("b@1", digest)}, false, false); err != nil || len(errs) != 0 {
				t.Errorf("of one digest: %v, %v", errs, err)
			}
		})
	}
	fetching.Wait()
	if n := downloads.Load(); n != 2 || string(u.content(artifact("a@1", "")).Heads["x"]) != "x" {
		t.Errorf("%d downloads of 2 artifacts", n)
	}
	errs, _ := u.fetch(t.Context(), []*Artifact{artifact("b@1", digest), artifact("a@1", "sha512-3")}, false, false)
	if err := errs["a@1"]; len(errs) != 1 || fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), "two digests for a@1: "+digest+" and sha512-3") {
		t.Errorf("of two digests: %v", errs)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue(1)
	leave, err := q.enter(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := q.enter(ended, true); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	order := make(chan string, 2)
	var waiting sync.WaitGroup
	for i, name := range []string{"last", "urgent"} {
		waiting.Go(func() {
			leave, err := q.enter(t.Context(), name == "urgent")
			if err != nil {
				t.Error(err)
			}
			order <- name
			leave()
			leave() // once counts
		})
		for q.length() != i+1 {
			runtime.Gosched()
		}
	}
	leave()
	waiting.Wait()
	if first, second := <-order, <-order; first != "urgent" || second != "last" || q.free != 1 {
		t.Errorf("%s, then %s, and %d places are free", first, second, q.free)
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting[0]) + len(q.waiting[1])
}
