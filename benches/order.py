"""order.py EXECUTABLE FILE: see benches/order."""

import bisect
import contextlib
import io
import json
import os
import re
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
CALLS = [
    ("tools/list", {}),
    ("tools/call", {"name": "list_containers", "arguments": {}}),
    ("tools/call", {"name": "inspect_container", "arguments": {"container": "there-is-none"}}),
]
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
CONFIG = f"""
[servers.order]
image = "{IMAGE}:1"
args = ["busybox", "sh", "-c", '''{SERVER}''']

[profiles.default.servers.order]
"""


def named(symbol):
    """The function's name without what changes with every build: where the compiler split it, and crates' numbers."""
    symbol = re.sub(r"\.(llvm\.)?\d+$", "", symbol)
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", symbol)


def symbols(executable):
    listed = subprocess.run(["nm", executable], capture_output=True, text=True, check=True).stdout
    columns = (line.split() for line in listed.splitlines())
    return {name for _, kind, name in (c for c in columns if len(c) == 3) if kind in "tTwW"}


def ran(profile):
    with open(profile) as lines:
        functions = (re.match(r"c?fn=\(\d+\) (\S+)", line) for line in lines)
        return {re.sub(r"'\d+$", "", match[1]) for match in functions if match}


def patterns(used, idle):
    """Names are long: a beginning of each that no function has which did not run."""
    idle = sorted(idle)

    def is_of_idle(beginning):
        place = bisect.bisect_left(idle, beginning)
        return place < len(idle) and idle[place].startswith(beginning)

    def shortest(name):
        beginnings = (name[:length] for length in range(SHORTEST, len(name), 10))
        return next((beginning + "*" for beginning in beginnings if not is_of_idle(beginning)), name + "*")

    return sorted({shortest(name) for name in used})


def messages(calls):
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "order", "version": "1"}}
    yield {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
    yield {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for number, (method, params) in enumerate(calls, 1):
        yield {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def over_stdio(command, environment, calls=CALLS):
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        for message in messages(calls):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                assert "result" in json.loads(process.stdout.readline()), message
        process.stdin.close()


def over_http(command, environment):
    address = ["--transport", "http", "--host", ADDRESS[0], "--port", str(ADDRESS[1])]
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {TOKEN}",
    }

    def post(message):
        url = f"http://{ADDRESS[0]}:{ADDRESS[1]}/mcp"
        request = urllib.request.Request(url, json.dumps(message).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            return response.headers

    with subprocess.Popen(command + address, stderr=subprocess.DEVNULL, env=environment) as process:
        for message in messages(CALLS):
            for _ in range(200):
                try:
                    session = post(message)["Mcp-Session-Id"]
                    break
                except urllib.error.URLError as error:
                    if not isinstance(error.reason, ConnectionRefusedError):
                        raise
                    time.sleep(0.1)
            headers.setdefault("Mcp-Session-Id", session)
        process.terminate()


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


def traced(run, executable, environment):
    """The functions that ran, by the names that this build gave them."""
    profile = os.path.join(environment["DOCKMASTER_HOME"], "profile")
    trace = ["valgrind", "--quiet", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={profile}"]
    run([*trace, executable, "gateway", "run"], environment)
    return ran(profile)


def with_servers(executable, environment):
    """A start with a server in a container, whose list is known from an earlier one, and a call to it."""
    with open(os.path.join(environment["DOCKMASTER_HOME"], "config.toml"), "w") as config:
        config.write(CONFIG)
    calls = [("tools/list", {}), ("tools/call", {"name": "order_echo", "arguments": {}})]
    with image():
        over_stdio([executable, "gateway", "run"], environment, calls)
        return traced(lambda *here: over_stdio(*here, calls), executable, environment)


def main(executable, file):
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"DOCKMASTER_HOME": folder, "DOCKMASTER_TOKEN": TOKEN}
        used = set().union(*(traced(run, executable, environment) for run in (over_stdio, over_http)))
        further = with_servers(executable, environment)
    used, further, known = ({named(symbol) for symbol in some} for some in (used, further, symbols(executable)))
    used &= known
    further &= known - used
    # A gateway without servers touches nothing of the second part.
    parts = {
        "used": patterns(used, known - used),
        "with_servers": patterns(further, known - used - further),
    }
    with open(file, "w") as out:
        out.write("/* Written by benches/order: functions that run when the program starts and serves. */\n")
        out.write("SECTIONS {\n")
        for part, listed in parts.items():
            out.write(f".text.{part} : {{\n")
            out.writelines(f"*(.text.{name})\n" for name in listed)
            out.write("}\n")
        out.write("}\nINSERT BEFORE .text;\n")
    print(f"{sum(map(len, parts.values()))} functions in {file}", file=sys.stderr)


main(*sys.argv[1:])
