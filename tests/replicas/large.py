#!/usr/bin/env python3
"""Requests of a million tokens among small ones: how much longer the small ones take.

    large.py --serve 'target/release/ziggurat serve --config {config} --host 127.0.0.1 --port {port}'

One gateway on two cores, and small chat requests at a steady rate: first alone, then while prompts of a million tokens are
sent one after the other, to a provider that speaks as the client does, and to one for which they are translated. All
that with a queue that counts tokens, prompts that stay where their beginning was seen, and a cache, and without any of
it. Prints what was measured and whether each claim holds; ends with 1 if one does not. Linux only.
Needs: pip install aiohttp
"""

import argparse
import asyncio
import collections
import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from claims import claim
from load import Load
from processes import Gateway, Upstream, config_file, free_port, wait_open

KEY = "sk-large-0123456789"
TOKENS, BYTES = 1_000_000, 4_500_000
TURNS = 60                    # messages of a large prompt
RATE, SECONDS, ROUNDS = 200, 1, 5    # small requests a second, how long a phase lasts, and how often each comes
WARM_UP = 1
LARGE = {"as it is": "openai", "translated": "claude"}


def config(small, large, on):
    """`on` is everything that reads a prompt."""
    def deployment(name, model, port):
        base = f"http://127.0.0.1:{port}" + ("/v1" if model.startswith("openai/") else "")
        return {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": "sk-upstream"}}

    text = {
        "model_list": [deployment("gpt", "openai/m", small), deployment("openai", "openai/m", large),
                       deployment("claude", "anthropic/m", large)],
        "ziggurat_settings": {"keys": [{"name": "large", "key": KEY}]},
    }
    if on:
        text["ziggurat_settings"]["queue"] = {"count": "tokens", "capacity": 2 * TOKENS, "max_waiting": 1000}
        text["router_settings"] = {"optional_pre_call_checks": ["prompt_caching"]}
        text["litellm_settings"] = {"cache": True, "cache_params": {"type": "local"}}
    return config_file(text)


def prompt(model):
    """A conversation of so many bytes, of words and of what must be escaped."""
    words = ["router", "queue", "token", "stream", "\"quoted\"", "line\n", "naïve", "{}", "retry", "budget", "a", "of"]
    choose = random.Random(7)
    turn = " ".join(choose.choices(words, k=BYTES // TURNS // 6))
    turn = turn[:BYTES // TURNS]
    messages = [{"role": "assistant" if n % 2 else "user", "content": f"{n:08} {turn}"} for n in range(TURNS - 1)]
    return json.dumps({"model": model, "max_tokens": 20, "messages": messages}, ensure_ascii=False).encode()


def send(port, model):
    """Sends a large prompt again and again, for as many seconds as each line that it reads says, and tells what became of
    each."""
    body, sent = bytearray(prompt(model)), 0
    at = body.index(b"00000000")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    for line in sys.stdin:
        seen, until = [], time.perf_counter() + float(line)
        while (began := time.perf_counter()) < until:
            # None is alike, or the second would come out of the cache.
            body[at:at + 8] = b"%08d" % (sent := sent + 1)
            try:
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                answer.read()
                became = answer.status
            except (OSError, http.client.HTTPException) as error:
                became = repr(error)
                connection.close()
            seen.append((became, time.perf_counter() - began))
        # The gateway closes one that is idle for long, maybe while the next is being sent.
        connection.close()
        print(json.dumps(seen), flush=True)


class Provider(asyncio.Protocol):
    """Takes bodies without looking at them, and answers in the dialect of the path."""

    ANSWERS = {
        True: {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
               "stop_sequence": None, "content": [{"type": "text", "text": "hello"}],
               "usage": {"input_tokens": TOKENS, "output_tokens": 1}},
        False: {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": TOKENS, "completion_tokens": 1, "total_tokens": TOKENS + 1}},
    }

    def connection_made(self, transport):
        self.transport, self.head, self.left = transport, b"", 0

    def data_received(self, data):
        if self.left == 0:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            lines = head.lower().split(b"\r\n")
            self.left = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
            self.head, self.speaks = b"", b"/messages" in lines[0]
        self.left -= len(data)
        if self.left == 0:
            answer = json.dumps(self.ANSWERS[self.speaks]).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                                 % len(answer) + answer)


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


def other(*words, **more):
    """This very script in another process."""
    return subprocess.Popen([sys.executable, __file__, *map(str, words)], text=True, **more)


class Large:
    """Sends large requests from a process of its own, where they are made before anything is measured."""

    def __init__(self, gateway, model):
        self.process = other("--send", gateway.port, model, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.seen = []

    async def send(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        self.seen += json.loads(await asyncio.to_thread(self.process.stdout.readline))


async def measure(gateway, args):
    """Each round has a phase in which the small ones are alone, and one in each company: so what else the machine does
    befalls all of them alike. The 99th percentile is that of the median round: in one of them it may have stood still."""
    companies = {name: Large(gateway, model) for name, model in LARGE.items()}
    p50, p99 = collections.defaultdict(list), collections.defaultdict(list)
    try:
        async with Load([gateway], KEY, stream=0.0) as load:
            await asyncio.gather(load.run(WARM_UP, RATE), *(company.send(0.1) for company in companies.values()))
            for _ in range(args.rounds):
                for name in ("alone", *companies):
                    since, company = time.time(), companies.get(name)
                    await asyncio.gather(load.run(SECONDS, RATE), *([company.send(SECONDS)] if company else []))
                    p50[name].append(load.percentile(0.5, since))
                    p99[name].append(load.percentile(0.99, since))
            claim(load.statuses().keys() == {200}, f"every small one is answered: {load.statuses()}")
    finally:
        for company in companies.values():
            company.process.kill()
    for name, values in p99.items():
        told = ", ".join(f"{value:.1f}" for value in values)
        print(f"      {name}: p50 {statistics.median(p50[name]):.1f} ms, p99 {statistics.median(values):.1f} ms of {told}")
    alone = statistics.median(p99["alone"])
    for name, company in companies.items():
        times, bad = sorted(took for _, took in company.seen), [status for status, _ in company.seen if status != 200]
        print(f"      {name}: {len(times)} large ones, median {1000 * times[len(times) // 2]:.0f} ms")
        claim(not bad, f"{name}: every large one is answered: {bad or 'always'}")
        slower = statistics.median(p99[name]) - alone
        if args.slower is None:
            print(f"      {name}: p99 grows by {slower:+.1f} ms")
        else:
            claim(slower < args.slower, f"{name}: p99 grows by less than {args.slower:g} ms: {slower:+.1f}")


async def run(args):
    port, cores = free_port(), os.sched_getaffinity(0)
    provider, small = other("--provide", port), Upstream()
    try:
        await asyncio.to_thread(wait_open, port, provider)
        for on in (True, False):
            print(f"--- {'with' if on else 'without'} a queue that counts tokens, pins and a cache", flush=True)
            # Of a larger machine the gateway gets two cores all the same.
            os.sched_setaffinity(0, sorted(cores)[:2])
            gateway = Gateway(args.serve, config(small.port, port, on))
            os.sched_setaffinity(0, cores)
            try:
                await asyncio.to_thread(gateway.ready)
                await measure(gateway, args)
            finally:
                gateway.stop()
    finally:
        provider.kill()
        small.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help="the command that serves {config} at {port}; needed unless --provide or --send is")
    parser.add_argument("--slower", type=float, metavar="MS",
                        help="by how much the 99th percentile may grow: to be claimed on a quiet machine only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each phase comes ({ROUNDS})")
    parser.add_argument("--provide", type=int, metavar="PORT", help="be the provider of the large ones")
    parser.add_argument("--send", nargs=2, metavar=("PORT", "MODEL"), help="be the client of the large ones")
    args = parser.parse_args()
    if not (args.serve or args.provide or args.send):
        parser.error("--serve is needed")
    if args.provide:
        asyncio.run(serve(args.provide))
    elif args.send:
        send(int(args.send[0]), args.send[1])
    else:
        began = time.monotonic()
        asyncio.run(run(args))
        print(f"      {time.monotonic() - began:.0f} s")
        sys.exit(1 if claim.failed else 0)


if __name__ == "__main__":
    main()
