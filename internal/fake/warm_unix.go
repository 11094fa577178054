//go:build unix

package fake

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

//go:embed warm.py
var warmServer string

// Files beside the python3 of [WarmPip]: the socket of its server, and the path
// of the machine's own Python.
const warmSocket, warmReal = ".socket", ".real"

// WarmPip makes pip start once for all tests of a package. It puts a python3 on
// PATH that is a link to the test binary. For a script that imports pip, the link
// asks a process that has pip in memory to fork; for all else it becomes the
// machine's Python. The script keeps its arguments, environment, folder and
// streams; only its network is not cut off. Tests of pip's start or of the
// sandbox, and the full suite, do not use it.
//
// Call it in TestMain, and call stop after the tests. It changes nothing on
// Windows or without a python3.
func WarmPip() (stop func()) {
	if testenv.Full() {
		return func() {}
	}
	dir, stop := forkPip()
	if dir != "" {
		os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return stop
}

// ForkPip is WarmPip for one test of the full suite, where pip runs thousands of times:
// it returns a folder to put first on the PATH of the program under test, "" for none.
func ForkPip(t testing.TB) (dir string) {
	dir, stop := forkPip()
	t.Cleanup(stop)
	return dir
}

func forkPip() (dir string, stop func()) {
	stop = func() {}
	me, err := os.Executable()
	if err != nil {
		return "", stop
	}
	python, err := interpreter()
	if err != nil {
		return "", stop
	}
	if dir, err = os.MkdirTemp("", "warm-pip-"); err != nil {
		return "", stop
	}
	stop = func() { os.RemoveAll(dir) }
	link := filepath.Join(dir, "python3")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: link + warmSocket, Net: "unix"})
	if err != nil || os.WriteFile(link+warmReal, []byte(python), 0o600) != nil || os.Symlink(me, link) != nil {
		return "", stop
	}
	l.SetUnlinkOnClose(false)
	stopping, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		serveWarm(l, python, stopping)
	}()
	return dir, func() {
		l.Close()
		close(stopping)
		<-done
		os.RemoveAll(dir)
	}
}

// interpreter returns the python3 on PATH. If that is the shim of a version
// manager, which starts dozens of programs each time, it returns the interpreter
// behind it.
func interpreter() (string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", err
	}
	f, err := os.Open(python)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(f, head); err != nil || string(head) != "#!" {
		return python, err
	}
	out, err := exec.Command(python, "-I", "-S", "-c", "import sys; print(sys.executable)").Output()
	if behind := strings.TrimSpace(string(out)); err == nil && filepath.IsAbs(behind) {
		return behind, nil
	}
	return python, err
}

// serveWarm starts the server when the first client connects. If the server
// cannot start, clients run the machine's Python.
func serveWarm(l *net.UnixListener, python string, stopping <-chan struct{}) {
	defer l.Close()
	first, err := l.AcceptUnix()
	if err != nil {
		return
	}
	defer first.Close()
	socket, err := l.File()
	if err != nil {
		return
	}
	defer socket.Close()
	client, err := first.File()
	if err != nil {
		return
	}
	defer client.Close()
	server := exec.Command(python, "-I", "-c", warmServer)
	server.ExtraFiles, server.Dir = []*os.File{socket, client}, filepath.Dir(l.Addr().String())
	stdin, err := server.StdinPipe()
	if err != nil || server.Start() != nil {
		return
	}
	// Connections that are not accepted end with the server.
	for _, c := range []io.Closer{l, first, socket, client} {
		c.Close()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	select {
	case <-stopping:
		stdin.Close()
		<-ended
	case <-ended: // this python cannot
	}
}

// init turns this process into a client, or into python, if it was started by the
// name of the link.
func init() {
	me := os.Args[0]
	if filepath.Base(me) != "python3" || len(os.Args) < 2 {
		return
	}
	python, err := os.ReadFile(me + warmReal)
	if err != nil {
		return
	}
	if len(os.Args) > 3 && os.Args[1] == "-I" && os.Args[2] == "-c" && importsPip.MatchString(os.Args[3]) {
		if status, ok := askWarm(me + warmSocket); ok {
			os.Exit(status)
		}
	}
	err = syscall.Exec(string(python), append([]string{string(python)}, os.Args[1:]...), os.Environ())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(127)
}

var importsPip = regexp.MustCompile(`(?m)^(import|from) pip\b`)

// askWarm asks the server to do this process's work. ok is false if it cannot.
func askWarm(socket string) (status int, ok bool) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, false
	}
	env := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	request, err := json.Marshal(map[string]any{"program": os.Args[0], "arguments": os.Args[1:], "dir": dir, "env": env})
	if err != nil {
		return 0, false
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return 0, false
	}
	request = append(request, '\n')
	n, _, err := conn.WriteMsgUnix(request, syscall.UnixRights(0, 1, 2), nil)
	if err == nil && n < len(request) { // not nothing: it may have ended already
		_, err = conn.Write(request[n:])
	}
	answer := make([]byte, 1)
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err != nil {
		return 0, false
	}
	if _, err := io.ReadFull(conn, answer); err != nil { // it ran, so nothing else may
		fmt.Fprintln(os.Stderr, "the warm pip was killed:", err)
		return 1, true
	}
	return int(answer[0]), true
}
