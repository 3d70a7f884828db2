#!/usr/bin/env python3
"""The official clients of OpenAI, Anthropic and Google, unmodified, against `ziggurat serve` over
simulated providers that speak each dialect.

    run.py --providers 'target/release/providers' --serve 'target/release/ziggurat serve --config {config} --port {port}'

Prints a line for each check, and the counts last; ends with 1 if one fails.
Needs: pip install openai anthropic google-genai
"""

import argparse
import pathlib
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

KEY = "sk-clients-0123456789"


class Checks:
    """Runs checks and tells what became of each."""

    def __init__(self):
        self.passed, self.failed = 0, []

    def run(self, client, group, name, check, *args):
        what = f"{client:<10} {group:<12} {name}"
        try:
            seen = check(*args)
        except Exception as error:
            self.failed.append((what, error))
            print(f"FAIL  {what}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            traceback.print_exc(limit=-3)
        else:
            self.passed += 1
            print(f"ok    {what}{': ' + str(seen)[:100] if seen else ''}", flush=True)


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait_until_ready(url, process):
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"it ended with {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--providers", required=True, help="the command that serves simulated providers")
    parser.add_argument("--serve", required=True, help="the command that serves {config} at {port}")
    parser.add_argument("--only", help="openai, anthropic or google")
    args = parser.parse_args()

    providers = subprocess.Popen(shlex.split(args.providers), stdout=subprocess.PIPE, text=True)
    gateway = None
    try:
        # The first line is the address; what follows is the configuration, up to an empty line.
        address = providers.stdout.readline().strip()
        lines = list(iter(lambda: providers.stdout.readline(), "\n"))
        assert lines and "" not in lines, "the providers ended"
        config = pathlib.Path(tempfile.mkdtemp()) / "config.yaml"
        config.write_text("".join(lines) + f"general_settings: {{master_key: {KEY}}}\n")
        port = free_port()
        gateway = subprocess.Popen(shlex.split(args.serve.format(config=config, port=port)))
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url + "/health/readiness", gateway)
        print(f"providers at {address}, gateway at {url}")

        checks = Checks()
        for name in ["openai", "anthropic", "google"]:
            if args.only in (None, name):
                module = __import__(f"{name}_client")
                module.run(checks, url, KEY)
    finally:
        for process in (gateway, providers):
            if process:
                process.terminate()
                process.wait(timeout=60)
    print(f"{checks.passed} passed, {len(checks.failed)} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
