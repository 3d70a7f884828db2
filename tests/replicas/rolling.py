#!/usr/bin/env python3
"""Gateways that are restarted one after the other while streams run: whether any client notices.

    rolling.py --serve 'target/release/ziggurat serve --config {config} --host 127.0.0.1 --port {port}'

Two gateways, and clients that send to those that say they are ready, as a load balancer does. Each gateway is restarted
twice by SIGTERM, and each time one stream runs until it is known that nobody is let in any more. Prints whether each claim holds; ends with 1 if one does not.
Needs: pip install aiohttp
"""

import argparse
import asyncio
import collections
import json
import pathlib
import random
import re
import signal
import sys
import threading
import time
import urllib.request

import aiohttp
from aiohttp import web

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from claims import claim
from processes import Gateway, config_file, free_port

EVENTS, PAUSE = 40, 0.05      # a stream takes two seconds
GRACE, PROBE = 3.0, 0.1       # how long a gateway still takes requests, and how often it is asked whether it wants them
LIMIT = 60                    # seconds for streams to end, of which a slow machine may need many
STREAMS, WHOLE = 40, 10       # clients at a time
HELD = {}                     # the streams that go on until their event is set, by the `user` of their requests


async def chat(request):
    body = await request.json()
    used = {"prompt_tokens": 1, "completion_tokens": EVENTS, "total_tokens": 1 + EVENTS}
    if not body.get("stream"):
        message = {"role": "assistant", "content": "hello"}
        return web.json_response({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": used,
                                  "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)

    async def write(delta, reason=None, **more):
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **more,
                 "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await asyncio.sleep(PAUSE)

    for n in range(EVENTS):
        await write({"content": f"w{n} "})
    held = HELD.get(body.get("user"))
    while held and not held.is_set():
        await write({"content": ""})
    await write({}, "stop", usage=used)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def provider():
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, port


def config(port):
    text = {
        "model_list": [{"model_name": "gpt", "litellm_params": {
            "model": "openai/m", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-upstream"}}],
        "ziggurat_settings": {"shutdown": {"grace": GRACE, "limit": LIMIT}},
    }
    return config_file(text)


class Balancer:
    """Knows which gateways say that they are ready."""

    def __init__(self, gateways):
        self.gateways, self.ready = gateways, set()
        self.busy = collections.Counter()

    def watch(self):
        """For ever, in a thread: it must not wait for the clients."""
        while True:
            for gateway in list(self.gateways):
                try:
                    with urllib.request.urlopen(gateway.url("/health/readiness"), timeout=10):
                        self.ready.add(gateway)
                except OSError:
                    self.ready.discard(gateway)
            time.sleep(PROBE)

    async def pick(self):
        while not (ready := [gateway for gateway in self.gateways if gateway in self.ready]):
            await asyncio.sleep(PROBE)
        return random.choice(ready)


async def ask(session, gateway, streams, begun=None, **more):
    """What became of a request. `begun` is set when its answer has begun, or will not."""
    body = {"model": "gpt", "stream": streams, "messages": [{"role": "user", "content": "hello"}], **more}
    try:
        async with session.post(gateway.url("/v1/chat/completions"), json=body) as answer:
            if begun:
                begun.set()
            text = (await answer.read()).decode()
        if answer.status != 200:
            return f"status {answer.status}: {text[:200]}"
        words = [int(n) for n in re.findall(r'"w(\d+) "', text)]
        if streams and (words != list(range(EVENTS)) or "[DONE]" not in text or '"error"' in text):
            return f"broken: …{text[-200:]}"
        return "streams" if streams else "answers"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"failed: {error!r}"
    finally:
        if begun:
            begun.set()


async def client(session, balancer, streams, seen, stopped):
    while not stopped.is_set():
        gateway = await balancer.pick()
        balancer.busy[gateway] += streams
        seen[await ask(session, gateway, streams)] += 1
        balancer.busy[gateway] -= streams
        if not streams:
            await asyncio.sleep(0.02)


async def is_open(gateway):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.close()
        return True
    except OSError:
        return False


async def restart(gateways, slot, balancer, session, args, path):
    """Returns how many streams ran at the signal, whether it still let anybody in, whether one ran when it did not any more,
    what became of that one, and how it ended."""
    old = gateways[slot]
    name, begun = f"held-{old.port}", asyncio.Event()
    HELD[name] = asyncio.Event()
    held = asyncio.create_task(ask(session, old, True, begun, user=name))
    await begun.wait()
    running = balancer.busy[old]
    old.process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    while old in balancer.ready:
        await asyncio.sleep(0.02)
    late = time.monotonic() - told
    took = await is_open(old) if late < GRACE / 2 else True
    # The listener closes at the end of the grace, while streams run on.
    while await is_open(old):
        await asyncio.sleep(0.05)
    still = old.process.poll() is None and not held.done()
    HELD.pop(name).set()
    became = await held
    code = await asyncio.to_thread(old.process.wait, 2 * LIMIT)
    gateways[slot] = Gateway(args.serve, path)
    await asyncio.to_thread(gateways[slot].ready)
    while gateways[slot] not in balancer.ready:
        await asyncio.sleep(0.02)
    return running, took, still, became, code


async def run(args):
    runner, port = await provider()
    path = config(port)
    gateways = [Gateway(args.serve, path) for _ in range(2)]
    try:
        for gateway in gateways:
            await asyncio.to_thread(gateway.ready)
        seen, stopped, done = collections.Counter(), asyncio.Event(), []
        timeout = aiohttp.ClientTimeout(total=2 * LIMIT)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            balancer = Balancer(gateways)
            threading.Thread(target=balancer.watch, daemon=True).start()
            while len(balancer.ready) < 2:
                await asyncio.sleep(0.02)
            clients = [asyncio.create_task(client(session, balancer, n < STREAMS, seen, stopped))
                       for n in range(STREAMS + WHOLE)]
            for _ in range(2):
                for slot in range(2):
                    await asyncio.sleep(1)
                    done.append(await restart(gateways, slot, balancer, session, args, path))
                    print(f"      restarted {slot}: {done[-1][0]} streams ran", flush=True)
            stopped.set()
            await asyncio.gather(*clients)
    finally:
        for gateway in gateways:
            gateway.stop()
        await runner.cleanup()
    good = {what: count for what, count in seen.items() if what in ("streams", "answers")}
    bad = {what: count for what, count in seen.items() if what not in good}
    print(f"      {good}")
    claim(not bad, f"no stream is broken and no request fails: {bad or 'none'}")
    claim(all(running >= 5 for running, *_ in done), f"streams ran at each signal: {[it[0] for it in done]}")
    claim(all(took for _, took, *_ in done), "who asks in the grace is let in")
    claim(all(still for _, _, still, *_ in done), "nobody is let in after it, while streams still run")
    claim(all(became == "streams" for *_, became, _ in done), f"those end as they should: {[it[3] for it in done]}")
    claim(all(code == 0 for *_, code in done), f"each ends with 0: {[it[-1] for it in done]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", required=True)
    args = parser.parse_args()
    began = time.monotonic()
    asyncio.run(run(args))
    print(f"      {time.monotonic() - began:.0f} s")
    sys.exit(1 if claim.failed else 0)


if __name__ == "__main__":
    main()
