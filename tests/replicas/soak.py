#!/usr/bin/env python3
"""Mixed load for long on one gateway: users, keys, prompts and models that never come twice, streams, clients that
hang up. Draws the memory of the gateway over time.

    soak.py --serve 'target/release/ziggurat serve --config {config} --host 127.0.0.1 --port {port}' \
        --minutes 30 --svg docs/soak.svg

What the kernel decides is left out: how much of the program itself is in memory, and which small pages it makes huge ones of,
with all that lies between them (`khugepaged`; MIMALLOC_ALLOW_THP=0 forbids it). In the first minute the gateway is stopped for
some seconds, and all who asked meanwhile come at once: what such a crowd takes is to be given back.
Prints the slope after the warm-up; ends with 1 if it is more than --slope KiB an hour.
Needs: redis-server, and pip install aiohttp
"""

import argparse
import asyncio
import itertools
import os
import pathlib
import random
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import run
from load import Load

STILL = 5


class Mixed(Load):
    """No two requests are alike."""

    async def one(self, gateway):
        n = random.getrandbits(64)
        self.body = {"user": f"user-{n:x}", "model": f"unknown-{n:x}" if random.random() < 0.05 else "gpt",
                     "metadata": {"tags": [f"tag-{n:x}"], "session_id": f"session-{n:x}"},
                     "messages": [{"role": "user", "content": f"{n:x} " * random.randrange(1, 300)}]}
        self.key = random.choice([run.KEYS["free"]] * 18 + [run.KEYS["requests"], f"sk-nobody-{n:x}"])
        await super().one(gateway)

    def note(self, sent, status, took, text):
        # A list would grow with the time that it runs.
        self.counts = getattr(self, "counts", {})
        self.counts[status] = self.counts.get(status, 0) + 1


def slope(samples):
    """KiB an hour: the median of the slopes between all pairs of (seconds, KiB) (Theil 1950, Sen 1968). What is taken once,
    and kept, is no growth; by least squares it would be."""
    pairs = itertools.combinations(samples, 2)
    return 3600 * statistics.median((later - earlier) / (t - s) for (s, earlier), (t, later) in pairs)


def draw(samples, warm_up, told):
    """A line over time, as SVG."""
    width, height, left, bottom = 760, 300, 60, 40
    most_t, most_m = samples[-1][0], max(m for _, m in samples) * 1.15
    x = lambda t: left + t / most_t * (width - left - 20)
    y = lambda m: height - bottom - m / most_m * (height - bottom - 40)
    line = " ".join(f"{x(t):.1f},{y(m):.1f}" for t, m in samples)
    marks = []
    for minute in range(0, int(most_t // 60) + 1, max(1, int(most_t // 360))):
        marks.append(f'<text x="{x(minute * 60):.0f}" y="{height - bottom + 18}" text-anchor="middle">{minute}</text>')
    step = 10 if most_m < 80 * 1024 else 50
    for mib in range(0, int(most_m / 1024) + 1, step):
        at = y(mib * 1024)
        marks.append(f'<line x1="{left}" x2="{width - 20}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{mib}</text>')
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<rect width="{width}" height="{height}" fill="white"/>
<text x="{left}" y="20" font-size="14">MiB of memory of a gateway: {told}</text>
{"".join(marks)}
<line x1="{x(warm_up):.1f}" x2="{x(warm_up):.1f}" y1="32" y2="{height - bottom}" stroke="#999" stroke-dasharray="4"/>
<text x="{x(warm_up) + 4:.1f}" y="44" fill="#666">warm-up ends</text>
<polyline points="{line}" fill="none" stroke="#1f77b4" stroke-width="2"/>
<text x="{(width + left) / 2:.0f}" y="{height - 4}" text-anchor="middle">minutes</text>
</svg>
'''


async def soak(args):
    async with run.World(args, gateways=1) as world:
        gateway, samples, began = world.gateways[0], [], time.time()
        memory = lambda: gateway.memory("RssAnon")

        async def watch():
            while True:
                samples.append((time.time() - began, memory()))
                await asyncio.sleep(5)

        async def stand_still():
            await asyncio.sleep(20)
            gateway.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(STILL)
            gateway.process.send_signal(signal.SIGCONT)

        watching = asyncio.create_task(watch())
        standing = asyncio.create_task(stand_still())
        async with Mixed(world.gateways, "", hang_up=0.1) as load:
            for minute in range(args.minutes):
                await load.run(60, args.rate)
                await standing
                print(f"minute {minute + 1}: {memory() / 1024:.1f} MiB, {load.counts}", flush=True)
                # What the provider remembers would grow as well.
                await asyncio.to_thread(run.fetch, f"http://127.0.0.1:{world.upstream.port}/reset", b"")
        watching.cancel()
        return samples, load.counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", required=True, help="the command that serves {config} at {port}")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=5, metavar="MINUTES")
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--slope", type=float, default=2048, metavar="KIB", help="the most that is let pass, an hour")
    parser.add_argument("--svg", type=pathlib.Path, help="where the picture goes")
    args = parser.parse_args()
    os.environ["MIMALLOC_ALLOW_THP"] = "0"
    samples, counts = asyncio.run(soak(args))
    warm_up = 60 * args.warm_up
    grows = slope([it for it in samples if it[0] >= warm_up])
    requests = sum(counts.values())
    told = f"{requests:,} requests in {args.minutes} minutes, {grows:+.0f} KiB an hour after the warm-up"
    least, most = (f(m for t, m in samples if t >= 60) / 1024 for f in (min, max))
    print(told, counts, f"{least:.1f} to {most:.1f} MiB after the first minute, {samples[-1][1] / 1024:.1f} at the end")
    if args.svg:
        args.svg.write_text(draw(samples, warm_up, told))
    if grows > args.slope:
        raise SystemExit(f"memory grows by {grows:.0f} KiB an hour")


if __name__ == "__main__":
    main()
