# Serves runs of pip, each in a fork of this process, which has pip loaded: python
# -I -c THIS, with the listening socket as file 3 and the first client as file 4. A
# request is the JSON of the command line, the folder and the environment, and the
# three standard files. The answer is a byte before the run and the exit status behind
# it. Who goes away has its run killed. This process ends with its standard input.
import array
import encodings.ascii
import encodings.cp437
import gc
import json
import netrc
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import traceback

import pip._internal.cli.main
import pip._internal.commands.install
import pip._internal.metadata.importlib
import pip._internal.network.session
import pip._internal.resolution.resolvelib.factory
import pip._internal.resolution.resolvelib.resolver


def receive(connection):
    data, files = b"", array.array("i")
    while not data.endswith(b"\n"):
        part, control, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(3 * files.itemsize))
        if not part:
            os._exit(1)
        data += part
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(value)
    return json.loads(data), files


def script(arguments):
    """Runs -I -c SCRIPT ARGUMENT... and returns what Python would end with."""
    sys.argv = ["-c"] + arguments[3:]  # behind -I -c SCRIPT
    try:
        exec(compile(arguments[2], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
        return 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    return 1


def gone(connection):
    connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def serve(connection):
    request, files = receive(connection)
    for to, file in enumerate(files):
        os.dup2(file, to)
        os.close(file)
    os.chdir(request["dir"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.executable, tempfile.tempdir = request["program"], None
    connection.sendall(b"!")
    threading.Thread(target=gone, args=(connection,), daemon=True).start()
    status = script(request["arguments"])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
    connection.sendall(bytes([status & 255]))
    os._exit(0)


def fork(connection):
    if os.fork() == 0:
        listener.close()
        serve(connection)
    connection.close()


# A collection would visit, and so copy, what a fork shares with this process; a fork
# ends before it has much to collect.
gc.disable()
gc.freeze()
listener = socket.socket(fileno=3)
fork(socket.socket(fileno=4))
while True:
    ready, _, _ = select.select([listener, 0], [], [], 1)
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass
    if listener in ready:
        fork(listener.accept()[0])
    elif ready:
        break
