"""Clients: as many requests a second as asked for, over all gateways, some of which hang up."""

import asyncio
import collections
import random
import time

import aiohttp


class Load:
    """What clients saw. Times are of the wall clock, in seconds."""

    def __init__(self, gateways, key, *, hang_up=0.0, stream=0.3, body=None):
        self.gateways, self.key, self.hang_up, self.stream = gateways, key, hang_up, stream
        self.body = body or {}
        self.seen = []            # (when it was sent, status, seconds); 0 for a client that hung up, -1 for no answer
        self.texts = collections.Counter()
        self.session = None

    async def __aenter__(self):
        timeout = aiohttp.ClientTimeout(total=30)
        self.session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    async def one(self, gateway):
        streams = random.random() < self.stream
        began, sent = time.perf_counter(), time.time()
        body = {"model": "gpt", "max_tokens": 20, "stream": streams,
                "messages": [{"role": "user", "content": f"sent at {sent} {random.random()}"}], **self.body}
        headers = {"authorization": f"Bearer {self.key}"}
        try:
            url = gateway.url("/v1/chat/completions")
            leaves = random.random() < self.hang_up
            async with asyncio.timeout(random.uniform(0.001, 0.03) if leaves else 30):
                async with self.session.post(url, json=body, headers=headers) as answer:
                    text = await answer.read()
                    self.note(sent, answer.status, time.perf_counter() - began, text)
        except TimeoutError:
            self.note(sent, 0 if leaves else -1, time.perf_counter() - began, b"")
        except aiohttp.ClientError:
            self.note(sent, -1, time.perf_counter() - began, b"")

    def note(self, sent, status, took, text):
        self.seen.append((sent, status, took))
        if status not in (0, 200, 429):
            self.texts[(status, text[:200])] += 1

    async def run(self, seconds, rate):
        """So many requests a second for so long, whatever the answers; waits for the last of them."""
        tasks, until, n = set(), time.perf_counter() + seconds, 0
        start = time.perf_counter()
        while time.perf_counter() < until:
            due = int((time.perf_counter() - start) * rate)
            while n < due:
                n += 1
                alive = [gateway for gateway in self.gateways if gateway.process.poll() is None]
                task = asyncio.create_task(self.one(random.choice(alive)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.004)
        await asyncio.gather(*tasks)

    def count(self, status, since=0.0, until=float("inf")):
        return sum(1 for at, seen, _ in self.seen if seen == status and since <= at < until)

    def statuses(self):
        return dict(sorted(collections.Counter(status for _, status, _ in self.seen).items()))

    def percentile(self, part, since=0.0, until=float("inf"), statuses=(200,)):
        """Milliseconds."""
        took = sorted(t for at, status, t in self.seen if status in statuses and since <= at < until)
        return 1000 * took[min(len(took) - 1, int(len(took) * part))] if took else float("nan")
