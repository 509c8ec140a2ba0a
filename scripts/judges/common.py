"""What the judges share: verdicts, running a judge to its end, and a gateway that serves HTTP."""

import re
import socket
import subprocess
import sys
import tempfile
import time

TOKEN = "token-of-the-judges-0123456789abcdef"
PATIENCE = 300  # seconds for one judge

verdicts = []


def verdict(judge, content, text):
    verdicts.append(content)
    print(f"{'ok  ' if content else 'FAIL'} {judge}: {text}", flush=True)


def run(command, environment, patience=PATIENCE):
    """Runs a judge to its end; gives its exit code and all it printed. One that takes too long has no exit code."""
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              stdin=subprocess.DEVNULL, timeout=patience, check=False)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        return None, f"{(late.stdout or b'').decode(errors='replace')}\nno end after {patience} s"


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if re.search(r"\w", line)]
    return lines[-1] if lines else "no output"


class Gateway:
    """A gateway that serves HTTP: the process of `command(port)`, with a port of its own."""

    def __init__(self, command, environment):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(command(self.port), env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
            if self.process.poll() is not None:
                break
        sys.exit(f"the gateway does not serve HTTP: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def stop(self, name="end"):
        self.process.terminate()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "none: it had to be killed"
        verdict(name, code in (0, 143, -15), f"the gateway ended with code {code}")
