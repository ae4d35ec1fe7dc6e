"""Runs inside the machine and does what the test outside asks: a command, a file, news of a unit. Wishes and answers
are lines of JSON over a console of the machine's own: the network is the appliance's, whose walls are part of what
is tested, and it comes late. The Python that runs this is the host's; the machine has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
import threading
import tty

# How this interpreter was found is no business of the commands.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "SYSTEMD_PAGER": ""}


def interpreter() -> list[str]:
    """How this Python was started: the loader of the host, its libraries, the program."""
    with open("/proc/self/cmdline") as line:
        words = line.read().split("\0")
    return words[: next(number for number, word in enumerate(words) if word.endswith(".py"))]


def perform(wish: dict) -> dict:
    """Does one thing: `run`s a command, or a `python` script, to its end, `write`s a file whole, with an optional
    `mode`."""
    if "run" in wish or "python" in wish:
        command, environment = wish.get("run"), ENVIRONMENT
        if command is None:
            command = interpreter() + wish["python"]
            environment = ENVIRONMENT | {"PYTHONHOME": os.environ["PYTHONHOME"], "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, env=environment, input=wish.get("input", "").encode(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=wish.get("seconds", 60),
        )  # fmt: skip
        return {"status": done.returncode, "output": done.stdout.decode(errors="replace")}
    path = wish["write"]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(wish["text"])
    os.chmod(path, wish.get("mode", 0o644))
    return {}


def answer(line: str, console) -> None:
    wish = json.loads(line)
    try:
        told = perform(wish)
    except Exception as error:  # told to whoever asked
        told = {"error": repr(error)}
    with writing:
        console.write((json.dumps(told | {"number": wish["number"]}) + "\n").encode())


writing = threading.Lock()
if __name__ == "__main__":
    descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor, termios.TCSANOW)
    console = os.fdopen(descriptor, "wb", buffering=0)
    console.write(b'{"number": 0}\n')
    for text in os.fdopen(os.dup(descriptor), "r"):
        # One may wait for what another brings about.
        threading.Thread(target=answer, args=(text, console), daemon=True).start()
