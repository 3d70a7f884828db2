#!/usr/bin/env python3
"""A flood of 5,000 clients over a provider that is too slow for them: whether the gateway stays up, and answers who goes first.

    flood.py --serve 'target/release/ziggurat serve --config {config} --host 127.0.0.1 --port {port}'

Clients that say nothing, that send half a head, that send their bodies byte by byte, and that ask with a low priority,
all from one address; and one that asks with a high priority from another. Prints what was measured and whether each claim
holds; ends with 1 if one does not. Linux only. Needs nothing.
"""

import argparse
import asyncio
import collections
import http.client
import json
import pathlib
import random
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from claims import claim
from processes import Gateway, config_file, free_port, wait_open

SILENT, HALF, SLOW, LOW = 2_000, 1_500, 500, 1_000
CONNECTIONS = 4_000           # fewer than come
BODIES = 64 << 20             # of 1 MiB each, which is less than the slow ones announce
MEMORY = 320 << 10            # KiB, of which bodies are a fifth
CAPACITY, WAITING = 8, 2_000
COMING, SECONDS = 5, 20       # in which time they come, and how long the flood lasts
LONGEST = 90                  # how long it may last until all that is claimed has happened: a slow machine needs longer
PATIENCE = 30
KEYS = {"high": "sk-flood-high-0123456789", "low": "sk-flood-low-0123456789"}


async def provide(reader, writer):
    """A provider that takes a fifth of a second for each answer."""
    answer = json.dumps({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
            await reader.readexactly(length)
            await asyncio.sleep(0.2)
            writer.write(head + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(port):
    async with await asyncio.start_server(provide, "127.0.0.1", port) as server:
        await server.serve_forever()


def config(port):
    text = {
        "model_list": [{"model_name": "gpt", "litellm_params": {
            "model": "openai/m", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-upstream"}}],
        "ziggurat_settings": {
            "queue": {"capacity": CAPACITY, "max_waiting": WAITING},
            "keys": [{"name": "high", "key": KEYS["high"], "priority": 0}, {"name": "low", "key": KEYS["low"], "priority": 10}],
            "overload": {"connections": CONNECTIONS, "body_bytes": BODIES},
        },
    }
    return config_file(text)


def request(key, body=b'{"model":"gpt","messages":[]}', length=None):
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEYS[key]}\r\n"
            f"content-type: application/json\r\ncontent-length: {length or len(body)}\r\n\r\n")
    return head.encode() + body


async def answer(reader):
    """The status of an answer, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = [line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line]
    length = next((int(value) for name, value in lines if name == "content-length"), None)
    body = await (reader.read() if length is None else reader.readexactly(length))
    return int(head.split()[1]), body, dict(lines)


def fetch(port, path, key=None, local="127.0.0.2"):
    """Status and body, over a connection of its own from another address; a thread, so that it waits for no other client."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(local, 0))
    try:
        if key:
            headers = {"authorization": f"Bearer {KEYS[key]}", "content-type": "application/json"}
            connection.request("POST", path, b'{"model":"gpt","messages":[]}', headers)
        else:
            connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def ask(port, key):
    try:
        return (await asyncio.to_thread(fetch, port, "/v1/chat/completions", key))[0]
    except (OSError, http.client.HTTPException) as error:
        return repr(error)


class Flood:
    def __init__(self, port):
        self.port, self.seen, self.open, self.stopped = port, collections.Counter(), 0, asyncio.Event()

    async def again(self, kind, visit):
        """One client, which comes again when it is closed."""
        await self.pause(random.uniform(0, COMING))
        while not self.stopped.is_set():
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.open += 1
                await visit(kind, reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                self.seen[kind, "closed"] += 1
            finally:
                if writer:
                    self.open -= 1
                    writer.close()
            await self.pause(1)

    async def pause(self, seconds):
        try:
            await asyncio.wait_for(self.stopped.wait(), seconds)
        except TimeoutError:
            pass

    async def until_closed(self, kind, reader):
        """Waits for the end, of the connection or of the flood."""
        reading, stopped = asyncio.create_task(reader.read(4096)), asyncio.create_task(self.stopped.wait())
        await asyncio.wait([reading, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not reading.cancel():
            try:
                said = reading.result()
                self.seen[kind, said.split()[1].decode() if said else "closed"] += 1
            except OSError:
                self.seen[kind, "closed"] += 1

    async def silent(self, kind, reader, writer):
        await self.until_closed(kind, reader)

    async def half(self, kind, reader, writer):
        writer.write(request("low")[:40])
        await self.until_closed(kind, reader)

    async def slow(self, kind, reader, writer):
        writer.write(request("low", body=b"{", length=1 << 20))
        ended = asyncio.create_task(self.until_closed(kind, reader))
        while not ended.done():
            await self.pause(1)
            writer.write(b" ")
        await ended

    async def low(self, kind, reader, writer):
        while not self.stopped.is_set():
            writer.write(request("low"))
            status, _, headers = await answer(reader)
            self.seen[kind, str(status)] += 1
            if status in (429, 503):
                self.seen[kind, "not told when to come again"] += "retry-after" not in headers
                await self.pause(float(headers.get("retry-after", 1)))
            if headers.get("connection") == "close":
                return

    def gone(self):
        """How many that had no request were closed or refused."""
        return sum(count for (kind, what), count in self.seen.items() if kind in ("silent", "half a head"))

    async def run(self):
        kinds = [("silent", SILENT, self.silent), ("half a head", HALF, self.half), ("slow bodies", SLOW, self.slow),
                 ("low", LOW, self.low)]
        clients = [asyncio.create_task(self.again(kind, visit)) for kind, count, visit in kinds for _ in range(count)]
        await self.stopped.wait()
        await asyncio.wait(clients, timeout=PATIENCE)
        for it in clients:
            it.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def metrics(port):
    """Nothing if there is no place for who asks."""
    try:
        _, body = await asyncio.to_thread(fetch, port, "/metrics", local="127.0.0.3")
    except (OSError, http.client.HTTPException):
        return {}
    lines = [line.rsplit(" ", 1) for line in body.splitlines() if line.startswith("ziggurat_gateway_")]
    return {name: float(value) for name, value in lines}


def is_quiet(seen):
    """The one that asks is one."""
    return seen.get("ziggurat_gateway_body_bytes") == 0 and seen.get("ziggurat_gateway_connections", 2) <= 1


async def run(args):
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    port = free_port()
    provider = subprocess.Popen([sys.executable, __file__, "--provide", str(port)])
    gateway = Gateway(args.serve, config(port))
    try:
        await asyncio.to_thread(wait_open, port, provider)
        await asyncio.to_thread(gateway.ready)
        idle = gateway.memory()
        flood = Flood(gateway.port)
        flooding = asyncio.create_task(flood.run())
        took, failed, peaks = [], [], collections.Counter()
        began = time.monotonic()

        def is_flooded():
            return (peaks["ziggurat_gateway_connections"] > CONNECTIONS // 2 and flood.gone() > 0
                    and peaks["ziggurat_gateway_body_bytes"] > BODIES // 2 and flood.seen["low", "200"] > 0)

        while (lasts := time.monotonic() - began) < SECONDS or lasts < LONGEST and not is_flooded():
            at = time.monotonic()
            status = await ask(gateway.port, "high")
            (took if status == 200 else failed).append(time.monotonic() - at if status == 200 else status)
            seen = {"memory": gateway.memory(), "clients": flood.open, **await metrics(gateway.port)}
            for name, value in seen.items():
                peaks[name] = max(peaks[name], value)
            await asyncio.sleep(0.1)
        flood.stopped.set()
        await flooding
        flooded = time.monotonic() - began
        left = {}
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            left = await metrics(gateway.port)
            if is_quiet(left):
                break
            await asyncio.sleep(0.2)
        last = await ask(gateway.port, "low")
        is_up = gateway.process.poll() is None
    finally:
        gateway.stop()
        provider.kill()
    took.sort()
    print(f"      {flooded:.0f} s, at most {peaks['clients']:.0f} clients at a time; idle {idle} KiB, at most {peaks['memory']:.0f} KiB")
    print(f"      high: {len(took)} answers, median {1000 * took[len(took) // 2]:.0f} ms, longest {1000 * took[-1]:.0f} ms"
          if took else "      high: none")
    for (kind, what), count in sorted((+flood.seen).items()):
        print(f"      {kind}: {what} × {count}")
    claim(is_up, "the gateway stays up")
    claim(took and not failed, f"who asks with a high priority is answered, and never told to come again: {failed or 'always'}")
    claim(peaks["ziggurat_gateway_connections"] > CONNECTIONS // 2, "thousands are connected at a time")
    claim(peaks["ziggurat_gateway_connections"] <= CONNECTIONS, f"at most {CONNECTIONS} connections are open: {peaks['ziggurat_gateway_connections']:.0f}")
    claim(flood.gone() > 0, f"those without a request make room: {flood.gone()} times")
    claim(BODIES // 2 < peaks["ziggurat_gateway_body_bytes"] <= BODIES, f"at most {BODIES} bytes of bodies are held: {peaks['ziggurat_gateway_body_bytes']:.0f}")
    claim(peaks["memory"] < MEMORY, f"memory stays under {MEMORY} KiB")
    claim(flood.seen["low", "200"] > 0, "who asks with a low priority gets what is left")
    told = flood.seen["low", "not told when to come again"] == 0
    claim(told, "who asks with a low priority is told when to come again")
    claim(is_quiet(left), f"everything is given back: {left}")
    claim(last == 200, "then everybody is answered")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help="the command that serves {config} at {port}; needed unless --provide is")
    parser.add_argument("--provide", type=int, metavar="PORT", help="be the provider")
    args = parser.parse_args()
    if not (args.serve or args.provide):
        parser.error("--serve is needed")
    asyncio.run(serve(args.provide) if args.provide else run(args))
    sys.exit(1 if claim.failed else 0)


if __name__ == "__main__":
    main()
