"""Runs inside the machine and does what the test outside asks: a command, a file, news of a unit. Wishes and answers
are lines of JSON over a console of the machine's own: the network is the appliance's, whose walls are part of what
is tested, and it comes late. The Python that runs this is the host's, in the host's root: the machine has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
import threading
import tty

ROOT = "/proc/1/root"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "SYSTEMD_PAGER": ""}


def perform(wish: dict) -> dict:
    """Does one thing: `run`s a command of the machine's or a `python` script of the bed's to its end, or `write`s a
    file whole, with an optional `mode`."""
    if "write" in wish:
        path = ROOT + wish["write"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(wish["text"])
        os.chmod(path, wish.get("mode", 0o644))
        return {}
    theirs = "run" in wish
    done = subprocess.run(
        wish["run"] if theirs else [sys.executable, *wish["python"]], env=ENVIRONMENT, cwd="/",
        preexec_fn=enter if theirs else None, input=wish.get("input", "").encode(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=wish.get("seconds", 60),
    )  # fmt: skip
    return {"status": done.returncode, "output": done.stdout.decode(errors="replace")}


def enter() -> None:
    """From the host's root, where Python is, into the machine's."""
    os.chroot(ROOT)
    os.chdir("/")


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
