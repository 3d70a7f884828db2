#!/usr/bin/env python3
"""A provider that keeps a ledger: what it was sent, what it answered, and what that costs.

    upstream.py --port 9000 [--delay 0.02]

`POST …/chat/completions` answers in OpenAI's shape, whole or as a stream. How much it says it used
follows from the request: `max_tokens` output tokens, and four for each character of the prompt's first
number. `GET /ledger` tells all that it has counted, `POST /reset` forgets it; `POST /most` tells how many were
in flight at a time since it was asked last.
Needs: pip install aiohttp
"""

import argparse
import asyncio
import json
import re
import time

from aiohttp import web


class Ledger:
    """What was asked and answered. Everything is counted when it happens."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.arrived = []          # (time, tenant)
        self.tokens = []           # (time of arrival, tenant, tokens, when it says it was sent), of answers that came to their end
        self.in_flight = {}
        self.peak = {}
        self.late = 0.0            # the longest that a request took to come here, of those that say when they were sent
        self.most = 0              # in flight of all tenants, since it was asked for
        self.completed = 0
        self.left = 0

    def tell(self):
        return {
            "arrived": self.arrived,
            "tokens": self.tokens,
            "peak": self.peak,
            "in_flight": self.in_flight,
            "late": self.late,
            "completed": self.completed,
            "left": self.left,
        }


LEDGER = Ledger()
DELAY = 0.02


def usage_of(body):
    words = json.dumps(body.get("messages", ""))
    return {"prompt_tokens": 10 + len(words) // 100, "completion_tokens": int(body.get("max_tokens") or 20)}


async def chat(request):
    body = await request.json()
    tenant = str(body.get("user") or "nobody")
    now = time.time()
    LEDGER.arrived.append((now, tenant))
    says = re.search(r"sent at (\d+\.\d+)", json.dumps(body.get("messages", "")))
    sent = float(says[1]) if says else None
    if sent:
        LEDGER.late = max(LEDGER.late, now - sent)
    LEDGER.in_flight[tenant] = LEDGER.in_flight.get(tenant, 0) + 1
    LEDGER.peak[tenant] = max(LEDGER.peak.get(tenant, 0), LEDGER.in_flight[tenant])
    LEDGER.most = max(LEDGER.most, sum(LEDGER.in_flight.values()))
    used = usage_of(body)
    used["total_tokens"] = used["prompt_tokens"] + used["completion_tokens"]
    done = False

    def ends():
        """Before the last byte is sent: whoever has it knows that there is room again."""
        nonlocal done
        done = True
        LEDGER.in_flight[tenant] -= 1

    try:
        await asyncio.sleep(DELAY)
        if body.get("stream"):
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for n in range(5):
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                         "choices": [{"index": 0, "delta": {"role": "assistant", "content": f"w{n} "}, "finish_reason": None}]}
                await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
                await asyncio.sleep(0.005)
            chunk["choices"] = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
            chunk["usage"] = used
            ends()
            await response.write(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())
            await response.write_eof()
        else:
            response = web.json_response({
                "id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
                "usage": used})
            ends()
        return response
    finally:
        if done:
            LEDGER.completed += 1
            LEDGER.tokens.append((now, tenant, used["total_tokens"], sent))
        else:
            LEDGER.in_flight[tenant] -= 1
            LEDGER.left += 1


async def ledger(_):
    return web.json_response(LEDGER.tell())


async def reset(_):
    LEDGER.reset()
    return web.json_response({})


async def most(_):
    told, LEDGER.most = LEDGER.most, sum(LEDGER.in_flight.values())
    return web.json_response({"most": told, "now": LEDGER.most})


def main():
    global DELAY
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=DELAY, help="seconds until it answers")
    args = parser.parse_args()
    DELAY = args.delay
    app = web.Application(client_max_size=4 << 20)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/ledger", ledger)
    app.router.add_post("/reset", reset)
    app.router.add_post("/most", most)
    web.run_app(app, host="127.0.0.1", port=args.port, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
