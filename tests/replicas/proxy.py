#!/usr/bin/env python3
"""Stands before a Redis, and may be slow, or answer errors in its place.

    proxy.py --port 7000 --to 6379

Does what it reads from its standard input, a line each: `delay SECONDS`, `errors 1`, `errors 0`.
"""

import argparse
import asyncio
import sys


class Weather:
    delay, errors = 0.0, False


async def serve(to, reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
    except OSError:
        writer.close()
        return

    async def there():
        while data := await reader.read(65536):
            if Weather.errors:
                # One for each command: they begin with a star at the beginning of a line.
                count = max(1, data.count(b"\r\n*") + data.startswith(b"*"))
                writer.write(b"-ERR it is played\r\n" * count)
                continue
            if Weather.delay:
                await asyncio.sleep(Weather.delay)
            far_writer.write(data)
            await far_writer.drain()
        far_writer.close()

    async def back():
        while data := await far_reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    await asyncio.gather(there(), back(), return_exceptions=True)


async def run(args):
    server = await asyncio.start_server(lambda *it: serve(args.to, *it), "127.0.0.1", args.port)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, value = line.split()
        setattr(Weather, word, float(value))
    server.close()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--to", type=int, required=True)
asyncio.run(run(parser.parse_args()))
