"""Third-party servers behind the gateway, used by third-party clients.

The servers of `field/servers.json`, a list as the official registry gives it, are taken in as a catalog, switched on,
installed from npm and PyPI into images that Dockmaster makes, and run locked down. Then: what each lists through the
gateway is what it lists by itself; real clients get known answers over stdio, Streamable HTTP in both eras, and HTTP+SSE,
and every feature of server-everything reaches them (progress, cancelling, sampling, elicitation, roots, resources,
subscription, log, prompts, completion). In the end nothing of it is left on the engine.

The package registries have to be reachable: where they are not, this fails.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import TOKEN, Gateway, last_line, run, verdict
from with_token import Proxy

HERE = Path(__file__).resolve().parent
CATALOG = HERE / "field/servers.json"
MODERN = "2026-07-28"
INSTALL = 600  # seconds for installing one server, on a slow line too
# Checks that call a tool which server-everything does not have, and take its "no such tool", which is a result there, for
# the answer. The gateway says it as an error of the protocol.
NO_SUCH_TOOL = ("tools-call-simple-text", "tools-call-error")
# What the gateway declares to servers of the legacy era, in the name of all clients that may come.
CAPABILITIES = {"roots": {"listChanged": True}, "sampling": {"tools": {}, "context": {}},
                "elicitation": {"form": {}, "url": {}}}


def judge(executable, tools, environment):
    """All of it; `environment` has the tools on its PATH, the docker CLI among them."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dockmaster-field-") as folder:
        field = Field(executable, tools, environment, Path(folder))
        try:
            if field.switch_on() and field.install():
                field.use()
        finally:
            field.clean_up()
    print(f"     third-party servers: {time.monotonic() - begun:.0f} s", flush=True)


class Field:
    def __init__(self, executable, tools, environment, folder):
        self.executable, self.tools, self.folder = executable, tools, folder
        self.run = f"judge{os.getpid()}"
        self.base = f"localhost/dockmaster-judge/base:{self.run}"
        home = folder / "home"
        home.mkdir()
        self.environment = {**environment, "DOCKMASTER_HOME": str(home), "DOCKMASTER_TOKEN": TOKEN, "HOME": str(home)}
        self.names = [entry["server"]["name"].replace("/", ".") for entry in json.loads(CATALOG.read_text())["servers"]]
        self.places = {"folder": str(folder / "folder"), "repository": str(folder / "repository")}
        self.images = set()
        self.prepare()

    def prepare(self):
        """The files that servers are given, and the configuration. They belong to a plain user, as such files do; where
        this runs as root, another one."""
        os.chmod(self.folder, 0o755)
        places = {name: Path(place) for name, place in self.places.items()}
        places["folder"].mkdir()
        (places["folder"] / "greeting.txt").write_text("hello from the field, grüß dich 🚢\n")
        repository = str(places["repository"])
        git = ["git", "-C", repository, "-c", "user.name=Judge", "-c", "user.email=judge@example.com"]
        subprocess.run(["git", "init", "-q", "-b", "main", repository], check=True)
        (places["repository"] / "one.txt").write_text("one\n")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "first commit of the judge"], check=True)
        if os.geteuid() == 0:
            for place in places.values():
                subprocess.run(["chown", "-R", "1000:1000", str(place)], check=True)
        (self.folder / "kubeconfig").write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: field\n"
            'clusters: [{name: field, cluster: {server: "https://127.0.0.1:1"}}]\n'
            "contexts: [{name: field, context: {cluster: field, user: judge}}]\nusers: [{name: judge, user: {}}]\n")
        (self.folder / "home/config.toml").write_text(
            f'[gateway]\nsse = true\n\n[instances]\nnode_image = "{self.base}"\npython_image = "{self.base}"\n\n'
            f'[hosts.local.guard]\nroots = [{{ path = "{self.folder}", write = true }}]\n')

    def dockmaster(self, *arguments, patience=60, stdin=None):
        """Runs a command of the executable; gives its exit code and what it printed."""
        try:
            done = subprocess.run([self.executable, *arguments], env=self.environment, input=stdin, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience, check=False)
            return done.returncode, done.stdout.strip()
        except subprocess.TimeoutExpired:
            return None, f"no end after {patience} s"

    def docker(self, *arguments, **more):
        return subprocess.run(["docker", *arguments], env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, **more)

    def switch_on(self):
        """Imports the catalog and switches its servers on, as a person would type it."""
        certificates = "/etc/ssl/certs/ca-certificates.crt"
        image = self.docker("import", "-c", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-c", f"ENV PIP_CERT={certificates}",
                            "-c", f"ENV NODE_EXTRA_CA_CERTS={certificates}", "-m", "base of the judges",
                            str(self.tools / "base/image.tar"), self.base)
        if image.returncode != 0:
            verdict("third-party servers", False, f"the base image can't be imported: {image.stdout}")
            return False
        settings = {"field.filesystem": f"folder={self.places['folder']}",
                    "field.kubernetes": f"kubeconfig={self.folder}/kubeconfig",
                    "field.git": f"repository={self.places['repository']}"}
        done = [self.dockmaster("catalog", "import", str(CATALOG), "--name", "field")]
        done.append(self.dockmaster("secret", "set", "field.github.github_personal_access_token",
                                    stdin="ghp_0123456789abcdefghijABCDEFGHIJ012345\n"))
        for name in self.names:
            further = ["--set", settings[name]] if name in settings else []
            done.append(self.dockmaster("server", "enable", name, "--yes", *further, patience=INSTALL))
        failed = [text for code, text in done if code != 0]
        verdict("third-party servers, switched on", not failed, "\n".join(failed) or f"{len(self.names)}")
        return not failed

    def install(self):
        """Each is installed and started; two at a time, as there are few cores."""
        def test(name):
            code, text = self.dockmaster("server", "inspect", name, "--plan")
            if code == 0:
                self.images.add(json.loads(text[text.index("{"):])["target"]["image"])
            begun = time.monotonic()
            code, text = self.dockmaster("server", "test", name, "--json", patience=INSTALL)
            return name, code, text, time.monotonic() - begun

        works = True
        with ThreadPoolExecutor(2) as pool:
            for name, code, text, seconds in pool.map(test, self.names):
                works &= code == 0
                listed = f"{len(json.loads(text[text.index('{'):])['tools'])} tools" if code == 0 else text[-1500:]
                verdict(f"{name}, installed and started", code == 0, f"{listed} after {seconds:.0f} s")
        return works

    def use(self):
        command = [self.executable, "gateway", "run"]
        gateway = Gateway(lambda port: [*command, "--transport", "http", "--port", str(port)], self.environment)
        address = f"http://127.0.0.1:{gateway.port}"
        try:
            with ThreadPoolExecutor(2) as pool:
                for name, wrong in pool.map(lambda name: (name, self.differences(name, address)), self.names):
                    verdict(f"{name}, lists", not wrong, wrong or "the same as without the gateway")
            for name, program, way, target in self.clients(command, address):
                places = json.dumps({**self.places, "unique": re.sub(r"\W", "_", name)})
                self.use_with(name, [*program, places, *way, *target])
            node = ["node", str(HERE / "field_ts.mjs"), str(self.tools / "mcp-ts")]
            for way, target in (("HTTP", [f"{address}/mcp", TOKEN]), ("HTTP+SSE", [f"{address}/sse", TOKEN]), ("stdio", command)):
                self.use_with(f"TypeScript sdk 1, {way}", [*node, "old", *target])
            for way, target in (("HTTP", [f"{address}/mcp", TOKEN]), ("stdio", command)):
                self.use_with(f"TypeScript client 2, {way}", [*node, "new", *target])
            self.claude_code(command, address)
            self.conformance(gateway.port)
        finally:
            gateway.stop("end, third-party servers")

    def use_with(self, client, command):
        code, output = run(command, self.environment)
        verdict(f"{client}, third-party servers", code == 0, last_line(output) if code == 0 else output[-1500:])

    def claude_code(self, command, address):
        """`claude mcp list` connects to each server that it was told of, without any account."""
        claude = str(self.tools / "claude/node_modules/.bin/claude")
        environment = {**self.environment, "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
        run([claude, "mcp", "add", "-s", "user", "by-pipe", "--", *command], environment)
        run([claude, "mcp", "add", "-s", "user", "-t", "http", "by-http", f"{address}/mcp", "--header",
             f"Authorization: Bearer {TOKEN}"], environment)
        code, output = run([claude, "mcp", "list"], environment)
        connected = [line.split(":")[0] for line in output.splitlines() if line.endswith("Connected")]
        verdict("Claude Code, mcp list", code == 0 and sorted(connected) == ["by-http", "by-pipe"],
                f"connected: {', '.join(sorted(connected))}" if connected else output[-1500:])

    def conformance(self, port):
        """The official suite on server-everything, which has few of the names that the suite asks for: whatever passes
        when it is asked directly passes through the gateway too."""
        plan = json.loads(self.dockmaster("server", "inspect", "field.everything", "--plan")[1])["target"]
        container = self.docker("run", "-d", "--rm", "--label", f"dockmaster.judge={self.run}", "-p", "127.0.0.1::3001",
                                "-e", "PORT=3001", plan["image"], "streamableHttp").stdout.strip()
        try:
            host = self.docker("port", container, "3001").stdout.split()[0]
            direct = asyncio.run(self.score(int(host.rsplit(":", 1)[1]), "/mcp"))
            through = asyncio.run(self.score(port, "/mcp/server/field.everything"))
        finally:
            self.docker("rm", "-f", container)
        lost = sorted(check for check, said in direct.items()
                      if said == {"SUCCESS"} and "FAILURE" in through.get(check, ()) and check[1] not in NO_SUCH_TOOL)
        passing = [sum(said == {"SUCCESS"} for said in scores.values()) for scores in (direct, through)]
        verdict("conformance 2025-11-25, server-everything", passing[0] > 0 and not lost,
                f"{passing[0]} checks pass directly, {passing[1]} through the gateway"
                + (f"; lost are {', '.join(map('/'.join, lost))}" if lost else ""))

    async def score(self, port, path):
        """What the suite says of each check, by scenario and check; one that is made more often may say several things."""
        suite = str(self.tools / "conformance/node_modules/.bin/conformance")
        async with Proxy(port, TOKEN) as url:
            with tempfile.TemporaryDirectory() as results:
                await asyncio.to_thread(run, [suite, "server", "--url", url.removesuffix("/mcp") + path,
                                              "--requirements", "2025-11-25", "-o", results], self.environment)
                scores = {}
                for file in Path(results).rglob("checks.json"):
                    scenario = re.sub(r"-\d{4}-.*$", "", file.parent.name)
                    for check in json.loads(file.read_text()):
                        key = (scenario, check["id"])
                        scores.setdefault(key, set()).add(check["status"])
        return scores

    def clients(self, command, address):
        old = [str(self.tools / "mcp-old/bin/python"), str(HERE / "field_old.py")]
        new = [str(self.tools / "mcp-new/bin/python"), "-W", "ignore", str(HERE / "field_new.py")]
        http, sse = [f"{address}/mcp", TOKEN], [f"{address}/sse", TOKEN]
        yield "Python mcp<2, HTTP", old, [], http
        yield "Python mcp<2, HTTP+SSE", old, [], sse
        yield "Python mcp<2, stdio", old, [], command
        yield "Python mcp 2, HTTP, legacy", new, ["legacy"], http
        yield "Python mcp 2, HTTP, modern", new, ["auto"], http
        yield "Python mcp 2, stdio, modern", new, [MODERN], command

    def differences(self, name, address):
        """What of the lists is not the same through the gateway; empty if all is."""
        plan = json.loads(self.dockmaster("server", "inspect", name, "--plan")[1])["target"]
        try:
            with Direct(self, plan) as direct:
                capabilities = direct.open()
                lists = [("tools", "tools/list", "tools"), ("prompts", "prompts/list", "prompts"),
                         ("resources", "resources/list", "resources"),
                         ("resources", "resources/templates/list", "resourceTemplates")]
                for capability, method, member in lists:
                    if capability not in capabilities:
                        continue
                    own = direct.all(method, member)
                    through = through_gateway(f"{address}/mcp/server/{name}", method, member)
                    if sorted(map(canonical, own)) != sorted(map(canonical, through)):
                        return f"{method}: {first_difference(own, through)}"
        except Exception as error:  # whatever went wrong, the others are still compared
            return f"{type(error).__name__}: {error}"
        return ""

    def clean_up(self):
        """Removes what was made, and says what was left that the gateway should have removed."""
        left = []
        for kind, list_them in (("container", ["ps", "-aq"]), ("network", ["network", "ls", "-q"])):
            for name in self.names:
                found = self.docker(*list_them, "--filter", f"label=dockmaster.server={name}").stdout.split()
                left += [f"{kind} {item} of {name}" for item in found]
        verdict("third-party servers, left behind", not left, ", ".join(left) or "nothing")
        for image in [*sorted(self.images), self.base]:
            self.docker("image", "rm", "-f", image)


class Direct:
    """The server of a plan without the gateway: the same image, arguments and files, over its standard streams."""

    def __init__(self, field, plan):
        arguments = ["run", "-i", "--rm", "--init", "--network", "none", "--label", f"dockmaster.judge={field.run}"]
        for name, value in plan["env"]:
            text = value if isinstance(value, str) else value.get("plain", "nothing")
            arguments += ["-e", f"{name}={text if isinstance(text, str) else 'nothing'}"]
        for mount in plan["mounts"]:
            arguments += ["-v", f"{mount['source']['path']}:{mount['target']}:ro"]
        self.command = ["docker", *arguments, plan["image"], *plan["command"]]
        self.environment = field.environment
        self.number = 0

    def __enter__(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if message.get("id") == self.number and "method" not in message:
                return message
            if "method" in message and "id" in message:
                self.send({"id": message["id"], "error": {"code": -32601, "message": "nobody is here"}})
        raise RuntimeError(f"the server ended instead of answering {method}")

    def open(self):
        """Shakes hands; gives the server's capabilities."""
        answer = self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES,
                                         "clientInfo": {"name": "judge", "version": "1"}})
        self.send({"method": "notifications/initialized"})
        return answer["result"]["capabilities"]

    def all(self, method, member):
        return pages(lambda params: self.ask(method, params), member)


def pages(ask, member):
    """All items of a list. That a server has no such list is no list."""
    items, params = [], {}
    while True:
        answer = ask(params)
        if "error" in answer:
            if answer["error"]["code"] == -32601:
                return items
            raise RuntimeError(answer["error"])
        items += answer["result"][member]
        if not answer["result"].get("nextCursor"):
            return items
        params = {"cursor": answer["result"]["nextCursor"]}


def through_gateway(url, method, member):
    """The same list through the gateway, word for word as it writes it."""
    def ask(params):
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "judge", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Mcp-Method": method,
                   "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": MODERN}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read().decode()
        if text.startswith("{"):
            return json.loads(text)
        events = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
        return next(message for message in map(json.loads, filter(None, events)) if message.get("id") == 1)

    return pages(ask, member)


def canonical(item):
    return json.dumps(item, sort_keys=True, ensure_ascii=False)


def first_difference(own, through):
    key = lambda item: item.get("name") or item.get("uri") or item.get("uriTemplate")
    mine, theirs = ({key(item): item for item in items} for items in (own, through))
    missing, further = sorted(mine.keys() - theirs.keys()), sorted(theirs.keys() - mine.keys())
    if missing or further:
        return f"missing are {missing}, and there are further {further}"
    different = next(name for name in mine if canonical(mine[name]) != canonical(theirs[name]))
    return f"{different} is {canonical(theirs[different])[:600]} instead of {canonical(mine[different])[:600]}"


def docker_on_path(environment, scripts):
    """The same environment with a docker CLI on its PATH."""
    if shutil.which("docker", path=environment["PATH"]):
        return environment
    folder = subprocess.run([str(scripts / "engine"), "cli"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return {**environment, "PATH": f"{folder}:{environment['PATH']}"}
