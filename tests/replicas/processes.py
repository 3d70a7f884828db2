"""The processes of a scenario: a Redis, a proxy before it, gateways, the provider with a ledger."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

# What is known of a key: for each limit on it its name, what is used, and what instances hold. Places in flight that an
# instance held whose lease has expired are free.
COUNTERS = """
local packed = redis.call('GET', KEYS[1])
local known = packed and cmsgpack.unpack(packed) or { c = {}, i = {} }
local now, all = redis.call('TIME')[1] * 1000, {}
for name, it in pairs(known.c) do
  all[name] = { it.n, 0 }
  for _, amount in pairs(it.s) do all[name][1] = all[name][1] + amount end
end
for _, it in pairs(known.i) do
  for name, held in pairs(it.l) do
    all[name] = all[name] or { 0, 0 }
    if it.x > now or name:sub(-2) ~= ':a' then all[name][2] = all[name][2] + held[1] end
  end
end
local told = {}
for name, it in pairs(all) do told[#told + 1] = string.format('%s %.0f %.0f', name, it[1], it[2]) end
return table.concat(told, '\\n')
"""

HERE = pathlib.Path(__file__).parent


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def config_file(settings):
    path = pathlib.Path(tempfile.mkdtemp()) / "config.yaml"
    path.write_text(json.dumps(settings))
    return path


def wait_for(url, process, seconds=30):
    until = time.time() + seconds
    while time.time() < until:
        if process.poll() is not None:
            raise SystemExit(f"{process.args}: ended with {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def wait_open(port, process, seconds=30):
    """Until somebody listens."""
    until = time.time() + seconds
    while time.time() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}")


class Redis:
    """A `redis-server` on a port of its own, which keeps nothing."""

    def __init__(self):
        if not shutil.which("redis-server"):
            raise SystemExit("there is no redis-server: apt-get install redis-server")
        self.port = free_port()
        self.folder = tempfile.mkdtemp()
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", self.folder, "--loglevel", "warning"], stdout=subprocess.DEVNULL)
        until = time.time() + 20
        while self.ask("PING") != "PONG":
            if time.time() > until:
                raise SystemExit("redis-server does not answer")
            time.sleep(0.05)

    def ask(self, *words):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as it:
                parts = [str(word).encode() for word in words]
                it.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                return it.recv(65536).decode(errors="replace").strip().lstrip("+")
        except OSError:
            return None

    def counters(self, key):
        """What is used and held of each limit on a key, by its name there."""
        told = self.ask("EVAL", COUNTERS, 1, key)
        lines = [line.split() for line in (told or "").splitlines()]
        return {line[0]: (int(line[1]), int(line[2])) for line in lines if len(line) == 3}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.resume()
        self.kill()


class Proxy:
    """Stands before a port: `proxy.py`."""

    def __init__(self, to):
        self.port = free_port()
        command = [sys.executable, str(HERE / "proxy.py"), "--port", str(self.port), "--to", str(to)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def set(self, what, value):
        self.process.stdin.write(f"{what} {float(value)}\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()


class Upstream:
    def __init__(self, delay=0.02):
        self.port = free_port()
        command = [sys.executable, str(HERE / "upstream.py"), "--port", str(self.port), "--delay", str(delay)]
        self.process = subprocess.Popen(command)
        wait_for(f"http://127.0.0.1:{self.port}/ledger", self.process)

    def stop(self):
        self.process.kill()


class Gateway:
    """One `ziggurat serve`."""

    def __init__(self, command, config):
        self.port = free_port()
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        words = shlex.split(command.format(config=config, port=self.port))
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, env={**os.environ, "RUST_LOG": "info"})

    def ready(self):
        wait_for(self.url("/health/liveliness"), self.process)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def said(self, words):
        with open(self.log.name) as it:
            return [line.rstrip() for line in it if words in line]

    def reaches_redis(self):
        """By the last line that it wrote about it."""
        lines = self.said("shared store")
        return bool(lines) and "the shared store serves" in lines[-1]

    def memory(self, what="VmRSS"):
        """KiB that are in memory; with `RssAnon` those alone that are not read from a file, such as the program."""
        with open(f"/proc/{self.process.pid}/status") as it:
            return next(int(line.split()[1]) for line in it if line.startswith(what))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
