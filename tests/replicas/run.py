#!/usr/bin/env python3
"""Several gateways over one Redis: whether limits hold, and whether anybody notices that Redis is in trouble.

    run.py --serve 'target/release/ziggurat serve --config {config} --host 127.0.0.1 --port {port}' [scenario …]

Scenarios: limits, hang-ups, killed, redis, queue. Prints what was measured and whether each
claim holds; ends with 1 if one does not.
Needs: redis-server, and pip install aiohttp
"""

import argparse
import asyncio
import json
import pathlib
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from claims import claim
from load import Load
from processes import Gateway, Proxy, Redis, Upstream, config_file

KEYS = {name: f"sk-replicas-{name}-0123456789" for name in ("requests", "tokens", "money", "flight", "free")}
WINDOW = 5.0
JITTER = 0.25
TRIES = 3                     # of what a busy machine may spoil by standing still
# A queue of so many in flight, each of which takes so many seconds.
ROOM, TAKES = 6, 0.3
# Until a better one elsewhere is known of, and as long as a busy machine may need.
BOUND, SLACK = 0.25, 0.5
LIMITS = {"requests": 100, "tokens": 3_000, "money": 0.003, "flight": 6}
# Every key has these limits too, which nobody reaches: so all that is ever used stays counted. What stores name them.
COUNTED = {"requests": "requests:s3600000", "tokens": "tokens:s3600000", "money": "money:r86400000"}


def config(redis_port, upstream_port, deadline, queue=None):
    """Every key has one limit, each of another kind; prices make 30 tokens cost 30 microdollars."""
    text = {
        "model_list": [{
            "model_name": "gpt",
            "litellm_params": {
                "model": "openai/gpt-4o", "api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "sk-upstream",
                "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6,
            },
        }],
        "general_settings": {"master_key": "sk-master-0123456789"},
        "router_settings": {"num_retries": 0},
        "ziggurat_settings": {
            "redis": {"url": f"redis://127.0.0.1:{redis_port}", "deadline_ms": deadline},
            **({"queue": queue} if queue else {}),
            "keys": [{"name": name, "key": key} for name, key in KEYS.items()],
            "limits": {"rules": [
                {"for": "key", "name": "requests", "requests": LIMITS["requests"], "per": WINDOW},
                {"for": "key", "name": "tokens", "tokens": LIMITS["tokens"], "per": WINDOW},
                {"for": "key", "name": "money", "max_budget": LIMITS["money"], "budget_duration": f"{WINDOW:g}s"},
                {"for": "key", "name": "flight", "max_parallel_requests": LIMITS["flight"]},
                *({"for": "key", "name": name, "requests": 10**9, "tokens": 10**12, "per": 3600} for name in LIMITS),
                *({"for": "key", "name": name, "max_budget": 10**6, "budget_duration": "24h"} for name in LIMITS),
            ]},
        },
    }
    return config_file(text)


def fetch(url, data=None, key=None):
    request = urllib.request.Request(url, data=data, headers={"authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class World:
    """A Redis, a provider, and gateways. Behind a proxy they wait for Redis no longer than they do by default; else as
    long as a busy machine may need, since what comes too late is decided by each gateway alone."""

    def __init__(self, args, gateways=4, behind=False, queue=None, delay=0.02):
        self.args, self.count, self.behind, self.queue, self.delay = args, gateways, behind, queue, delay

    async def __aenter__(self):
        self.redis = Redis()
        self.proxy = Proxy(self.redis.port) if self.behind else None
        self.upstream = Upstream(self.delay)
        port = self.proxy.port if self.proxy else self.redis.port
        self.config = config(port, self.upstream.port, 5 if self.behind else 1000, self.queue)
        self.gateways = [Gateway(self.args.serve, self.config) for _ in range(self.count)]
        for gateway in self.gateways:
            await asyncio.to_thread(gateway.ready)
        # Each waits for Redis before it listens, but not for as long as a busy machine may need.
        until = time.time() + 30
        while not all(gateway.reaches_redis() for gateway in self.gateways):
            if time.time() > until:
                raise SystemExit("not every gateway reached Redis within 30 s")
            await asyncio.sleep(0.1)
        # One that comes later is known to the others within 2 s.
        await asyncio.sleep(2)
        return self

    async def __aexit__(self, *_):
        for gateway in self.gateways:
            gateway.stop()
        self.upstream.stop()
        if self.proxy:
            self.proxy.stop()
        self.redis.stop()

    async def ledger(self):
        return await asyncio.to_thread(fetch, f"http://127.0.0.1:{self.upstream.port}/ledger")

    async def most(self):
        """How many were in flight at a time since this was asked last, and how many are."""
        told = await asyncio.to_thread(fetch, f"http://127.0.0.1:{self.upstream.port}/most", b"")
        return told["most"], told["now"]

    async def quiet(self):
        """Waits until the provider is busy with nothing."""
        while any((await self.ledger())["in_flight"].values()):
            await asyncio.sleep(0.05)

    def alive(self):
        return [gateway for gateway in self.gateways if gateway.process.poll() is None]


def most_in_a_window(events, late):
    """The largest sum of amounts in any stretch of time that is as long as a window; of (time, amount), sorted here. The
    provider sees a request somewhat later than it was admitted, at most so late: what came in a stretch that is shorter by
    that was admitted in one window."""
    events, most, total, first = sorted(events), 0, 0, 0
    window = WINDOW - min(max(JITTER, late), WINDOW / 2)
    for at, amount in events:
        total += amount
        while events[first][0] <= at - window:
            total -= events[first][1]
            first += 1
        most = max(most, total)
    return most


async def overload(world, *, hang_up=0.0, kill=False):
    """Four times what the limits allow, over all gateways, for three windows; each key has one limit."""
    loads = {}
    for name in ("requests", "tokens", "money", "flight"):
        loads[name] = await Load(world.gateways, KEYS[name], hang_up=hang_up, body={"user": name}).__aenter__()
    rate = 4 * LIMITS["requests"] / WINDOW
    runs = [load.run(3 * WINDOW, rate) for load in loads.values()]

    async def killer():
        await asyncio.sleep(1.5 * WINDOW)
        world.gateways[-1].kill()

    await asyncio.gather(*runs, *([killer()] if kill else []))
    await world.quiet()
    ledger = await world.ledger()
    for load in loads.values():
        await load.__aexit__()
    return loads, ledger


def judged(loads, ledger, *, slack=0, leaves=False):
    """What holds and what does not. `slack` is for what nobody could tell: a gateway that was killed. Where clients hang up, the provider learns later
    than the gateway that a place is free, so that is told and not judged; and of what it counts in full the gateway may have seen, and charged, a
    part, so what was read to its end is judged."""
    claims = []

    def claim(holds, what, timed=False):
        claims.append((holds, what, timed))

    arrived = {name: [(at, 1) for at, tenant in ledger["arrived"] if tenant == name] for name in loads}
    late = ledger["late"]
    print(f"      the provider saw each request at most {1000 * late:.0f} ms after it was sent")
    most = most_in_a_window(arrived["requests"], late)
    bound = LIMITS["requests"] + slack
    claim(most <= bound, f"requests: {most} in the worst window, {bound} allowed")
    claim(most >= 0.9 * LIMITS["requests"], f"requests: {most} in the best window, of {LIMITS['requests']}", timed=True)
    whole = {sent for sent, status, _ in loads["tokens"].seen if status == 200}
    tokens = [(at, amount) for at, tenant, amount, sent in ledger["tokens"]
              if tenant == "tokens" and (sent in whole or not leaves)]
    most = most_in_a_window(tokens, late)
    claim(0 < most <= LIMITS["tokens"] + 30 * slack, f"tokens: {most} in the worst window, {LIMITS['tokens']} allowed")
    cost = [(at, amount * 1e-6) for at, tenant, amount, _ in ledger["tokens"] if tenant == "money"]
    most = most_in_a_window(cost, late)
    print(f"      money: {most:.6f} dollars in the worst sliding window, {LIMITS['money']} in each fixed one")
    peak = ledger["peak"].get("flight", 0)
    if leaves:
        print(f"      in flight: {peak} at the most as the provider saw it, {LIMITS['flight']} allowed")
    else:
        claim(peak <= LIMITS["flight"] + slack, f"in flight: {peak} at the most, {LIMITS['flight']} allowed")
    for name, load in loads.items():
        others = {status: n for status, n in load.statuses().items() if status not in (0, 200, 429, 400, 403)}
        claim(not others, f"{name}: {load.statuses()}{' ' + str(load.texts.most_common(2)) if others else ''}")
    return claims


def judge(*args, **more):
    for claimed in judged(*args, **more):
        claim(*claimed)


async def settled(world, name):
    """What Redis counts of a key when nothing changes any more: leases are given back, or have expired."""
    last, since = None, time.time()
    while time.time() - since < 30:
        now = world.redis.counters(f"ziggurat:limit:{{key `{name}`}}")
        if now and now == last and not any(held for slot, (_, held) in now.items() if slot.endswith(":a")):
            return now
        last = now
        await asyncio.sleep(1)
    claim(False, f"{name}: what Redis counts comes to rest, {last}")
    return last


async def audit(world, loads, ledger):
    """What Redis counts is what the provider has in its ledger, to the last token. Where clients hang up, a request may
    have been sent that the provider never saw; and of an answer that nobody read to its end, what the gateway saw is
    charged, while the provider has all of it in its ledger or nothing. What a gateway held that was killed may have
    been used or not."""
    for name, load in loads.items():
        counters = await settled(world, name)
        tokens = sum(amount for _, tenant, amount, _ in ledger["tokens"] if tenant == name)
        requests = sum(tenant == name for _, tenant in ledger["arrived"])
        left, cut = load.count(0) + load.count(-1), requests - load.count(200)
        # An answer has 30 tokens or so, and what is seen of one no more than twice that.
        for measure, expected, below, above in [("requests", requests, 0, left), ("tokens", tokens, 60 * cut, 60 * cut),
                                                ("money", 1000 * tokens, 60_000 * cut, 60_000 * cut)]:
            used, held = counters.get(COUNTED[measure], (0, 0))
            told = f"{name}: Redis counts {used} {measure}, the provider {expected}"
            if left:
                told += f"; {left} clients left, {cut} answers were cut off"
            if world.alive() == world.gateways:
                claim(held == 0, f"{name}: {held} {measure} are held at the end")
            else:
                told += f", a gateway died with {held}"
            claim(expected - below - held <= used <= expected + above, told)
        flying = sum(held for slot, (_, held) in counters.items() if slot.endswith(":a"))
        claim(flying == 0, f"{name}: {flying} in flight at the end")


async def limits(args):
    """Four gateways, four times overload, three windows: no more than the limit, and Redis counts what was used."""
    async with World(args) as world:
        loads, ledger = await overload(world)
        judge(loads, ledger)
        await audit(world, loads, ledger)


async def hang_ups(args):
    """The same with one client in ten that hangs up."""
    async with World(args) as world:
        loads, ledger = await overload(world, hang_up=0.1)
        judge(loads, ledger, leaves=True)
        await audit(world, loads, ledger)


async def killed(args):
    """The same with a gateway that is killed in the middle."""
    async with World(args) as world:
        loads, ledger = await overload(world, hang_up=0.1, kill=True)
        await audit(world, loads, ledger)
        # Clients of the one that was killed see their connections break.
        for load in loads.values():
            load.seen = [it for it in load.seen if it[1] != -1]
            load.texts.clear()
        judge(loads, ledger, slack=2, leaves=True)


async def redis(args):
    """Redis in every trouble, under load: no 5xx, little time lost, and two log lines for each change."""
    async with World(args, behind=True) as world:
        async with Load(world.gateways, KEYS["requests"], body={"user": "requests"}) as load:
            async def quiet():
                since = time.time()
                await load.run(6, 60)
                return load.percentile(0.99, since, statuses=(200, 429))

            base = await quiet()

            async def trouble(name, begin, end, seconds=6):
                """What slows it down does so each time; a machine that stood still for once does not, so it may try again."""
                nonlocal base
                for left in reversed(range(TRIES)):
                    before = {id(gateway): len(gateway.said("shared store")) for gateway in world.gateways}
                    begin()
                    since = time.time()
                    await load.run(seconds, 60)
                    until = time.time()
                    end()
                    await load.run(3, 60)
                    worst = load.percentile(0.99, since, until, statuses=(200, 429))
                    bad = [status for at, status, _ in load.seen if at >= since and status not in (200, 429)]
                    lines = [len(gateway.said("shared store")) - before[id(gateway)] for gateway in world.gateways]
                    claim(not bad, f"{name}: statuses {sorted(set(bad)) or 'are 200 and 429 alone'}")
                    print(f"      {name}: p99 {worst:.1f} ms, {base:.1f} ms before; log lines {lines}")
                    if worst - base < args.slower and max(lines) <= 2 or not left:
                        break
                    base = await quiet()
                claim(max(lines) <= 2, f"{name}: two log lines at the most for each gateway")
                claim(worst - base < args.slower, f"{name}: p99 grows by less than {args.slower} ms")

            await trouble("paused", world.redis.pause, world.redis.resume)
            await trouble("killed and restarted", world.redis.kill, world.redis.start)

            await trouble("200 ms slow", lambda: world.proxy.set("delay", 0.2), lambda: world.proxy.set("delay", 0))
            await trouble("errors", lambda: world.proxy.set("errors", 1), lambda: world.proxy.set("errors", 0))
            memory = lambda most: world.redis.ask("CONFIG", "SET", "maxmemory", most)
            await trouble("out of memory", lambda: memory("1"), lambda: memory("0"))
            print(f"      {load.statuses()}")
        # What was counted is right again: a window later the limit holds as before, but for what a busy machine does not
        # hear from Redis within 5 ms.
        for left in reversed(range(TRIES)):
            await asyncio.sleep(WINDOW)
            await asyncio.to_thread(fetch, f"http://127.0.0.1:{world.upstream.port}/reset", b"")
            claims = judged(*await overload(world), slack=LIMITS["requests"] // 10)
            if all(holds for holds, *_ in claims) or not left:
                break
        for claimed in claims:
            claim(*claimed)


async def queue(args):
    """Three gateways, room for six requests at all of them together, twice as many that nobody is in a hurry for, and
    some that somebody is: a gateway dies, and Redis is paused."""
    rules = {"capacity": ROOM, "max_waiting": 10_000, "max_wait": 60}
    async with World(args, gateways=3, queue=rules, delay=TAKES) as world:
        low = Load(world.gateways, KEYS["free"], stream=0, body={"user": "low", "priority": 9})
        high = Load(world.gateways, KEYS["free"], stream=0, body={"user": "high", "priority": 0})

        async def phase(name, seconds, most, low_rate=2 * ROOM / TAKES, after=0.0):
            await world.most()
            began = time.time()
            asks = asyncio.gather(low.run(seconds, low_rate), high.run(seconds, 2))
            await asyncio.sleep(seconds - 1)
            first, now = await world.most()
            await asks
            peak = max(first, (await world.most())[0])
            waited = [t - TAKES for at, status, t in high.seen if at >= began + after and status == 200]
            worst = max(waited)
            claim(peak <= most, f"{name}: {peak} in flight at the most, {most} allowed")
            others = low.percentile(0.5, since=began) / 1000 - TAKES
            claim(worst <= BOUND + TAKES + SLACK, f"{name}: high waited for {worst:.2f} s at the most, low for {others:.2f} s",
                  timed=True)
            return now

        async with low, high:
            await phase("all there", 8, ROOM)
            claim(low.count(200) + high.count(200) == len(low.seen) + len(high.seen), f"all are served: {low.statuses()}")

            async def kill():
                await asyncio.sleep(2)
                world.gateways[-1].kill()

            now, _ = await asyncio.gather(phase("one killed", 8, ROOM, after=5), kill())
            claim(now == ROOM, f"one killed: {now} in flight two seconds after its lease, of {ROOM}", timed=True)
            world.gateways.pop().stop()
            low.texts.clear()
            low.seen, high.seen = [], []
            # Both have a turn of their own then: half of the room, or what they had.
            asks = asyncio.create_task(phase("Redis paused", 8, 2 * ROOM))
            await asyncio.sleep(2)
            world.redis.pause()
            await asyncio.sleep(4)
            world.redis.resume()
            await asks
            await phase("Redis back", 6, ROOM)
            served = [load.statuses() for load in (low, high)]
            claim(all(set(it) == {200} for it in served), f"without Redis and after it all are served: {served}")


SCENARIOS = {"limits": limits, "hang-ups": hang_ups, "killed": killed, "redis": redis, "queue": queue}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", required=True, help="the command that serves {config} at {port}")
    parser.add_argument("--slower", type=float, default=50.0, metavar="MS",
                        help="by how much the 99th percentile may grow in trouble (50; 5 on a machine that is idle)")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    args = parser.parse_args()
    for name in args.scenarios or SCENARIOS:
        if name not in SCENARIOS:
            parser.error(f"there is no scenario `{name}`")
        print(f"--- {name}: {SCENARIOS[name].__doc__}", flush=True)
        claim.tried(lambda: asyncio.run(SCENARIOS[name](args)), TRIES)
    if claim.failed:
        raise SystemExit(f"{len(claim.failed)} claims do not hold")


if __name__ == "__main__":
    main()
