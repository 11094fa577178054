package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CutOff gives a program an empty network namespace. The kernel allows that for
// root, and for other users in a user namespace of their own, unless the machine
// forbids it: then Start fails, and the caller starts it without.
func CutOff(cmd *exec.Cmd) bool {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr := cmd.SysProcAttr
	attr.Cloneflags |= syscall.CLONE_NEWNET
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	return true
}

// insideName is the name under which this program runs itself in the network
// namespace, see [cutOffWith].
const insideName = "buck2-protobuf-inside"

// cutOffWith is [CutOff] for a program that may reach one port of 127.0.0.1, on
// which s serves. The loopback interface of a new network namespace is down, so
// this program runs itself there first: it brings the interface up, opens the port,
// passes the listener back to us and then executes the other program. The caller
// starts cmd and then calls serve, which fails if this machine does not allow it.
func cutOffWith(cmd *exec.Cmd, s *Loopback) (serve func() error, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	CutOff(cmd)
	// Without it only root may bring up an interface, even in a namespace of its own.
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	cmd.Args = append([]string{insideName, strconv.Itoa(s.Port)}, cmd.Args...)
	cmd.Args[2], cmd.Path = cmd.Path, "/proc/self/exe"
	cmd.ExtraFiles = []*os.File{theirs}
	return func() error {
		theirs.Close()
		defer ours.Close()
		conn, err := net.FileConn(ours)
		if err != nil {
			return err
		}
		defer conn.Close()
		l, err := receiveListener(conn.(*net.UnixConn))
		if err == nil {
			s.also(l)
		}
		return err
	}, nil
}

func receiveListener(conn *net.UnixConn) (net.Listener, error) {
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("%d files: %w", len(fds), err)
	}
	f := os.NewFile(uintptr(fds[0]), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// init, for only there is the goroutine bound to the thread that execs, and
// capabilities belong to a thread; and because tests run themselves as well.
func init() {
	if len(os.Args) < 3 || os.Args[0] != insideName {
		return
	}
	inside(os.Args[1], os.Args[2:])
	os.Exit(1) // the parent sees that it got no listener
}

// inside does the work of [cutOffWith] in the new namespace. It returns only on
// failure.
func inside(port string, args []string) {
	n, err := strconv.Atoi(port)
	if err != nil {
		return
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	err = errors.Join(
		unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo),
		unix.Bind(fd, &unix.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}}),
		unix.Listen(fd, unix.SOMAXCONN),
		unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
	)
	if err != nil {
		return
	}
	const socket = 3 // the first of ExtraFiles
	unix.CloseOnExec(socket)
	if unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0) == nil {
		unix.Exec(args[0], args, os.Environ())
	}
}
