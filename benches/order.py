"""order.py EXECUTABLE FILE: see benches/order."""

import bisect
import contextlib
import io
import itertools
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

# A function that was not seen has a chance to be in place if others of its kind are.
SHORTEST = 40
TOKEN = "0123456789abcdef0123456789abcdef"
ADDRESS = ("127.0.0.1", 18911)
SSHD = ("127.0.0.1", 18912)


def tool(name, **arguments):
    return ("tools/call", {"name": name, "arguments": arguments})


# The name of what needs no servers.
DOCKER = "docker"
DOCKER_CALLS = [tool("list_containers"), tool("inspect_container", container="there-is-none"), tool("ping_engine")]
RELAYED = [tool("order_echo")]
FAR = [tool("ping_engine", host="far"), tool("list_containers", host="far")]
# A server in a container, of busybox alone.
IMAGE = "dockmaster-order"
SERVER = r"""
reply() { printf '{"jsonrpc":"2.0","id":%s,"result":{%s}}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | busybox sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) reply "$id" '"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"o","version":"1"}' ;;
    *'"tools/list"'*) reply "$id" '"tools":[{"name":"order_echo","inputSchema":{"type":"object"}}]' ;;
    *'"tools/call"'*) reply "$id" '"content":[{"type":"text","text":"said"}]' ;;
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id" ;;
  esac
done
"""
WITH_SERVER = f"""
[servers.order]
image = "{IMAGE}:1"
args = ["busybox", "sh", "-c", '''{SERVER}''']

[profiles.default.servers.order]
"""
WITH_HOST = f"""
[hosts.far]
endpoint = "ssh://{pwd.getpwuid(os.geteuid()).pw_name}@{SSHD[0]}:{SSHD[1]}"
"""
WITH_FAR_SERVER = WITH_HOST + WITH_SERVER + 'host = "far"\n'


def named(symbol):
    """The function's name without what changes with every build: where the compiler split it, and crates' numbers."""
    symbol = re.sub(r"\.(llvm\.)?\d+$", "", symbol)
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", symbol)


def symbols(executable):
    listed = subprocess.run(["nm", executable], capture_output=True, text=True, check=True).stdout
    columns = (line.split() for line in listed.splitlines())
    return {named(name) for _, kind, name in (c for c in columns if len(c) == 3) if kind in "tTwW"}


def patterns(part, idle):
    """Names are long: a beginning of each that no function has which is not meant."""
    idle = sorted(idle)

    def is_of_idle(beginning):
        place = bisect.bisect_left(idle, beginning)
        return place < len(idle) and idle[place].startswith(beginning)

    def shortest(name):
        beginnings = (name[:length] for length in range(SHORTEST, len(name), 10))
        return next((beginning + "*" for beginning in beginnings if not is_of_idle(beginning)), name + "*")

    return sorted({shortest(name) for name in part})


def ended(process):
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Stdio:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def exchange(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()) if "id" in message else None

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        ended(self.process)


class Http:
    def __init__(self, command, environment):
        address = ["--transport", "http", "--host", ADDRESS[0], "--port", str(ADDRESS[1])]
        self.process = subprocess.Popen(command + address, stderr=subprocess.DEVNULL, env=environment)
        self.headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {TOKEN}",
        }

    def exchange(self, message):
        request = urllib.request.Request(
            f"http://{ADDRESS[0]}:{ADDRESS[1]}/mcp", json.dumps(message).encode(), self.headers
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    said = response.read().decode()
                    break
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionRefusedError):
                    raise
                time.sleep(0.1)
        if "Mcp-Session-Id" in response.headers:
            self.headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
        if "id" not in message:
            return None
        events = (line.removeprefix("data:") for line in said.splitlines() if re.match(r"data: ?\{", line))
        return json.loads(next(events, said))

    def end(self):
        self.process.terminate()
        ended(self.process)


class Functions:
    """What ran when, by names that every build gives."""

    def __init__(self, executable):
        self.executable = executable
        self.known = symbols(executable)
        self.start = {}
        self.call = {}
        self.once = set()

    def run(self, transport, kind, calls, folder, config=""):
        """Starts in a home that is new, and again when it is known what servers list."""
        home = os.path.join(folder, f"home-{len(self.start)}")
        os.mkdir(home)
        with open(os.path.join(home, "config.toml"), "w") as file:
            file.write(config)
        first, call = self.traced(transport, calls, folder, home)
        self.start[kind], self.call[kind] = self.traced(transport, calls, folder, home)
        self.call[kind] |= call
        if config:
            self.once |= first
        else:
            self.start[kind] |= first

    def traced(self, transport, calls, folder, home):
        """What a start and a list need, and what calls need again and again."""
        profile = os.path.join(tempfile.mkdtemp(dir=folder), "profile")
        trace = ["valgrind", "--quiet", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={profile}"]
        environment = os.environ | {"HOME": folder, "DOCKMASTER_HOME": home, "DOCKMASTER_TOKEN": TOKEN}
        gateway = transport([*trace, self.executable, "gateway", "run"], environment)
        numbers = itertools.count(1)

        def exchange(method, params):
            answer = gateway.exchange({"jsonrpc": "2.0", "id": next(numbers), "method": method, "params": params})
            assert "result" in answer, answer

        dumps = itertools.count(1)

        def ran():
            # A moment for what goes on after the answer.
            time.sleep(2)
            command = ["callgrind_control", "--dump", str(gateway.process.pid)]
            subprocess.run(command, check=True, capture_output=True)
            with open(f"{profile}.{next(dumps)}") as lines:
                functions = (re.match(r"c?fn=\(\d+\) (\S+)", line) for line in lines)
                return {named(re.sub(r"'\d+$", "", match[1])) for match in functions if match} & self.known

        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "order", "version": "1"}}
        try:
            exchange("initialize", hello)
            gateway.exchange({"jsonrpc": "2.0", "method": "notifications/initialized"})
            exchange("tools/list", {})
            start = ran()
            for call in calls:
                exchange(*call)
            self.once |= ran()
            for call in 3 * calls:
                exchange(*call)
            call = ran()
            return start, call
        finally:
            gateway.end()

    def parts(self):
        """What starts with servers need besides, what every start does, what calls do, and what is done once. A gateway
        that is idle has little but the second in memory, and a call finds what it needs in few pages."""
        bare = set().union(*(self.start[kind] for kind in self.start if kind.startswith(DOCKER)))
        starts = set().union(*self.start.values())
        calls = set().union(*self.call.values())
        yield starts - bare - calls
        yield bare - calls

        def place(name):
            return name not in bare, name not in starts, *(name not in called for called in self.call.values())

        for _, alike in itertools.groupby(sorted(calls, key=place), place):
            yield set(alike)
        yield self.once - starts - calls

    def write(self, file):
        rest = set(self.known)
        lines = []
        for part in self.parts():
            rest -= part
            # Where the compiler thinks that a function runs seldom, it puts it among others of that kind.
            lines += (f"*(.text.{name} .text.unlikely.{name})\n" for name in patterns(part, rest))
        with open(file, "w") as out:
            out.write("/* Written by benches/order: functions that run when the program starts and serves. */\n")
            out.writelines(["SECTIONS {\n.text.used : {\n", *lines, "}\n}\nINSERT BEFORE .text;\n"])
        print(f"{len(lines)} functions in {file}", file=sys.stderr)


def engine(method, path, body=b""):
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    command = ["curl", "-fsS", "-X", method, "--unix-socket", address, "--data-binary", "@-", f"http://engine{path}"]
    subprocess.run([*command, "-H", "Content-Type: application/x-tar"], input=body, check=True, capture_output=True)


@contextlib.contextmanager
def image():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as files:
        files.add(os.path.realpath("/bin/busybox"), "bin/busybox")
    engine("POST", f"/images/create?fromSrc=-&repo={IMAGE}&tag=1", packed.getvalue())
    try:
        yield
    finally:
        engine("DELETE", f"/images/{IMAGE}:1")


@contextlib.contextmanager
def sshd():
    """One that lets this user in, and a home whose key and known hosts lead there."""
    with tempfile.TemporaryDirectory() as folder:
        home = os.path.join(folder, ".ssh")
        os.mkdir(home, 0o700)
        key, own = os.path.join(home, "id_ed25519"), os.path.join(folder, "host_key")
        for path in (key, own):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        with open(own + ".pub") as public, open(os.path.join(home, "known_hosts"), "w") as known:
            known.write(f"[{SSHD[0]}]:{SSHD[1]} {public.read()}")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        options = [f"AuthorizedKeysFile={key}.pub", "StrictModes=no", "PidFile=none", "UsePAM=no"]
        options += [f"ListenAddress={SSHD[0]}:{SSHD[1]}", f"HostKey={own}"]
        flags = [word for option in options for word in ("-o", option)]
        process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", "/dev/null", *flags], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(SSHD):
                    break
                assert process.poll() is None, f"sshd can't listen on port {SSHD[1]}"
                time.sleep(0.05)
            yield folder
        finally:
            process.terminate()
            process.wait()


def main(executable, file):
    functions = Functions(executable)
    with image(), sshd() as folder:
        functions.run(Stdio, DOCKER, DOCKER_CALLS, folder)
        functions.run(Http, f"{DOCKER} over HTTP", DOCKER_CALLS, folder)
        functions.run(Stdio, "relay", RELAYED, folder, WITH_SERVER)
        functions.run(Http, "relay over HTTP", RELAYED, folder, WITH_SERVER)
        functions.run(Stdio, "far", FAR, folder, WITH_HOST)
        functions.run(Stdio, "far relay", RELAYED, folder, WITH_FAR_SERVER)
    functions.write(file)


main(*sys.argv[1:])
