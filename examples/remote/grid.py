"""Remote execution on one machine: BuildGrid with its database, and workers for it.

It is for tests, and to try out a configuration; there is no TLS, and anybody who reaches the
address may use it. It needs Linux, and the packages buildgrid, pgserver and psycopg2-binary.

    grid.py server FOLDER ADDRESS
    grid.py worker FOLDER ADDRESS NAME [--hide FOLDER]... [--stall]

The server's storage is FOLDER/cas. BuildGrid brings no worker: this one takes leases by the
Remote Workers API (google.devtools.remoteworkers.v1test2), as BuildBox does. An action finds
what it declares and the programs of this machine: no network, no variables but its own, and
empty folders in the place of the hidden ones. With --stall the worker takes one lease, says so,
and does nothing more.

Both end when their standard input does, so nothing outlives a test. FOLDER has to be there, and empty.
"""

import argparse
import hashlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

CONFIG = """
server:
  - !channel
    address: {address}
    insecure-mode: true
grpc-server-options: {{grpc.http2.max_ping_strikes: 0}} # Buck2 asks more often than gRPC's servers like
connections: [!sql-connection &sql {{connection-string: '{database}'}}]
storages: [!disk-storage &cas {{path: {folder}/cas}}]
caches: [!lru-action-cache &results {{storage: *cas, max-cached-refs: 4096, allow-updates: true, cache-failed-actions: false}}]
schedulers:
  - !sql-scheduler &jobs
    sql: *sql
    storage: *cas
    action-cache: *results
    poll-interval: 0.1
    bot-session-keepalive-timeout: 10
    session-expiry-timer-interval: 1
    property-set: !dynamic-property-set {{match-property-keys: [OSFamily], wildcard-property-keys: []}}
    assigners: [!priority-age-assigner {{count: 2, interval: 0.1}}]
instances:
  - name: ''
    services:
      - !cas {{storage: *cas}}
      - !bytestream {{storage: *cas}}
      - !action-cache {{cache: *results}}
      - !execution {{scheduler: *jobs}}
thread-pool-size: 200 # also how many requests it answers at a time; others it refuses
"""


def when_input_ends(do):
    def wait():
        while os.read(0, 1):
            pass
        do()

    threading.Thread(target=wait, daemon=True).start()


def server(args):
    import pgserver  # for its programs alone: what it does as root changes the modes of folders

    programs = pathlib.Path(pgserver.__file__).with_name("pginstall") / "bin"
    data, config = args.folder / "database", args.folder / "server.yml"
    bgd = pathlib.Path(sys.executable).with_name("bgd")
    uri = f"postgresql+psycopg2://postgres@/postgres?host={args.folder}"
    config.write_text(CONFIG.format(address=args.address, folder=args.folder, database=uri))
    # PostgreSQL does not run as root.
    user = ["setpriv", "--pdeathsig", "KILL", "unshare", "--user", "--map-user=1000", "--map-group=1000"]
    subprocess.run([*user, programs / "initdb", "-D", data, "-U", "postgres", "--no-sync"], stdout=subprocess.DEVNULL, check=True)
    with subprocess.Popen([*user, programs / "postgres", "-D", data, "-h", "", "-k", args.folder, "-F"]) as database:
        when_input_ends(database.kill)
        while not (args.folder / ".s.PGSQL.5432").exists() and database.poll() is None:
            time.sleep(0.1)
        while subprocess.run([bgd, "migrate", "apply", uri]).returncode and database.poll() is None:
            time.sleep(0.1)
        with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", bgd, "server", "start", config]) as grid:
            database.wait()
            grid.kill()


class Worker:
    def __init__(self, args):
        import grpc
        from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2, remote_execution_pb2_grpc
        from buildgrid._protos.google.bytestream import bytestream_pb2, bytestream_pb2_grpc
        from buildgrid._protos.google.devtools.remoteworkers.v1test2 import bots_pb2, bots_pb2_grpc

        self.args = args
        self.grpc, self.re, self.bytes, self.bots_pb2 = grpc, remote_execution_pb2, bytestream_pb2, bots_pb2
        channel = grpc.insecure_channel(args.address, [("grpc.max_receive_message_length", -1)])
        self.bots = bots_pb2_grpc.BotsStub(channel)
        self.reader = bytestream_pb2_grpc.ByteStreamStub(channel)
        self.cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        self.blobs = args.folder / "blobs"
        self.blobs.mkdir(parents=True)

    def run(self):
        pb = self.bots_pb2
        session = pb.BotSession(bot_id=self.args.name, status=1)
        device = session.worker.devices.add(handle="it")
        device.properties.add(key="OSFamily", value="linux")
        session = self.bots.CreateBotSession(pb.CreateBotSessionRequest(bot_session=session), timeout=10)
        while True:
            for lease in session.leases:
                if lease.state == pb.PENDING:
                    lease.state = pb.ACTIVE
            session = self.update(session)
            for lease in session.leases:
                if lease.state != pb.ACTIVE:
                    continue
                print("lease", lease.id, flush=True)
                if self.args.stall:
                    threading.Event().wait()
                self.do(lease)
                lease.state = pb.COMPLETED

    def update(self, session):
        return self.bots.UpdateBotSession(
            self.bots_pb2.UpdateBotSessionRequest(name=session.name, bot_session=session), timeout=10)

    def do(self, lease):
        action = self.re.Action()
        if not lease.payload.Unpack(action):
            digest = self.re.Digest()
            lease.payload.Unpack(digest)
            action.ParseFromString(self.blob(digest).read_bytes())
        try:
            lease.result.Pack(self.execute(action))
        except Missing as missing:
            lease.status.code, lease.status.message = 9, str(missing)  # FAILED_PRECONDITION
            print("refused:", missing, flush=True)

    def blob(self, digest):
        """The file of a digest. What the storage gives under it is held against it."""
        file = self.blobs / digest.hash
        if file.exists():
            return file
        if digest.size_bytes > 1 << 20:
            data = self.stream(digest)
        else:
            got = self.cas.BatchReadBlobs(self.re.BatchReadBlobsRequest(digests=[digest])).responses[0]
            if got.status.code:
                raise Missing(f"{digest.hash}: the storage lacks it ({got.status.code})")
            data = got.data
        if hashlib.sha256(data).hexdigest() != digest.hash:
            raise Missing(f"{digest.hash}: the storage gives other bytes")
        file.write_bytes(data)
        return file

    def stream(self, digest):
        request = self.bytes.ReadRequest(resource_name=f"blobs/{digest.hash}/{digest.size_bytes}")
        try:
            return b"".join(r.data for r in self.reader.Read(request))
        except self.grpc.RpcError as err:
            raise Missing(f"{digest.hash}: the storage lacks it ({err.code()})") from None

    def lay(self, digest, folder):
        directory = self.re.Directory.FromString(self.blob(digest).read_bytes())
        folder.mkdir()
        for file in directory.files:
            shutil.copyfile(self.blob(file.digest), folder / file.name)
            (folder / file.name).chmod(0o555 if file.is_executable else 0o444)
        for link in directory.symlinks:
            (folder / link.name).symlink_to(link.target)
        for child in directory.directories:
            self.lay(child.digest, folder / child.name)

    def execute(self, action):
        command = self.re.Command.FromString(self.blob(action.command_digest).read_bytes())
        root = self.args.folder / "action"
        if root.exists():
            shutil.rmtree(root)
        self.lay(action.input_root_digest, root)
        cwd = root / command.working_directory
        outputs = command.output_paths or [*command.output_files, *command.output_directories]
        for output in outputs:
            (cwd / output).parent.mkdir(parents=True, exist_ok=True)
        hide = "".join(f"mount -t tmpfs none {shlex.quote(folder)} && " for folder in self.args.hide)
        done = subprocess.run(
            ["/usr/bin/unshare", "--map-root-user", "--net", "--mount", "/bin/sh", "-c",
             hide + 'exec /usr/bin/env -i "$@"', "sh",
             *(f"{v.name}={v.value}" for v in command.environment_variables), *command.arguments],
            cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True)
        result = self.re.ActionResult(exit_code=done.returncode, stdout_raw=done.stdout, stderr_raw=done.stderr)
        result.execution_metadata.worker = self.args.name
        for output in outputs:
            self.collect(result, cwd / output, output)
        return result

    def collect(self, result, path, name):
        if path.is_symlink():
            result.output_symlinks.add(path=name, target=os.readlink(path))
        elif path.is_dir():
            tree = self.re.Tree()
            self.directory(path, tree.root, tree)
            result.output_directories.add(path=name, tree_digest=self.store(tree.SerializeToString(deterministic=True)))
        elif path.exists():
            result.output_files.add(path=name, digest=self.store(path.read_bytes()), is_executable=os.access(path, os.X_OK))

    def directory(self, path, directory, tree):
        for entry in sorted(path.iterdir()):
            if entry.is_symlink():
                directory.symlinks.add(name=entry.name, target=os.readlink(entry))
            elif entry.is_dir():
                child = tree.children.add()
                self.directory(entry, child, tree)
                directory.directories.add(name=entry.name, digest=self.digest(child.SerializeToString(deterministic=True)))
            else:
                directory.files.add(name=entry.name, digest=self.store(entry.read_bytes()), is_executable=bool(entry.stat().st_mode & 0o100))

    def digest(self, data):
        return self.re.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))

    def store(self, data):
        digest = self.digest(data)
        request = self.re.BatchUpdateBlobsRequest()
        request.requests.add(digest=digest, data=data)
        for response in self.cas.BatchUpdateBlobs(request).responses:
            if response.status.code:
                raise RuntimeError(response.status.message)
        return digest


class Missing(Exception):
    """An input that the storage lacks, or gives with other bytes."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["server", "worker"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("address")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--hide", action="append", default=[])
    parser.add_argument("--stall", action="store_true")
    args = parser.parse_args()
    if args.what == "server":
        server(args)
    else:
        when_input_ends(lambda: os.kill(os.getpid(), signal.SIGKILL))
        Worker(args).run()


main()
