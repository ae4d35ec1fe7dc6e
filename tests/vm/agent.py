"""Runs inside the virtual machine and does what the test outside asks: runs a command, starts the gateway,
sends it a signal, ends the machine. Speaks JSON over HTTP, since a port is all that leads in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

started: dict[int, subprocess.Popen] = {}


def perform(wish: dict) -> dict:
    """Does one thing: `run` a command to its end, `start` one with its output in a file, send a `signal`
    to one, give it a line (`say`), `wait` for it; or answers with what is at a URL (`get`)."""
    if "run" in wish:
        done = subprocess.run(wish["run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return {"status": done.returncode, "output": done.stdout.decode(errors="replace")}
    if "start" in wish:
        log = open(wish["log"], "wb", buffering=0)
        # No setting of the machine's may leak into the gateway.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FRAMEGATE_")}
        child = subprocess.Popen(wish["start"], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        started[child.pid] = child
        return {"pid": child.pid}
    if "get" in wish:
        with urllib.request.urlopen(wish["get"], timeout=10) as answer:
            return {"output": answer.read().decode()}
    child = started[wish["pid"]]
    if "signal" in wish:
        child.send_signal(wish["signal"])
    if "say" in wish:
        child.stdin.write(wish["say"].encode() + b"\n")
        child.stdin.flush()
    if "wait" in wish:
        return {"status": child.wait(wish["wait"])}
    return {"status": child.poll()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if wish == "end":
            answer = {}
            threading.Thread(target=self.server.shutdown).start()
        else:
            try:
                answer = perform(wish)
            except Exception as error:  # told to whoever asked
                answer = {"error": repr(error)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: standard output is the machine's."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler)
    server.serve_forever()
    for left in started.values():
        left.kill()
