"""A headless Chromium under control, by its DevTools protocol: enough of a browser to run a page's
script and to read what came of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading

import pytest
import websockets.sync.client

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # The test authority is in no store of the browser's.
    "--ignore-certificate-errors",
    # It would ask its user whether a page may reach this machine.
    "--disable-features=LocalNetworkAccessChecks",
    "--remote-debugging-port=0",
]
PATIENCE = 60.0


class Browser:
    """One browser with one page."""

    def __init__(self) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            pytest.skip("chromium is not installed")
        self._folder = tempfile.TemporaryDirectory(prefix="framegate-browser-", ignore_cleanup_errors=True)
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self._child = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"],
            env=environment | {"HOME": self._folder.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._numbers = itertools.count(1)
        said = []
        for line in self._child.stderr:
            said.append(line)
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            self._child.kill()
            pytest.skip("chromium does not start here: " + "".join(said[-3:]).strip())
        # Somebody must take what it goes on saying.
        threading.Thread(target=self._child.stderr.read, daemon=True).start()
        self._connect = websockets.sync.client.connect(found[1], proxy=None, max_size=1 << 24)
        self._socket = self._connect.__enter__()
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = {"sessionId": attached["sessionId"]}

    def _ask(self, method: str, parameters: dict, session: dict | None = None) -> dict:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **(session or {})}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> None:
        """Goes to a page and waits until it is there."""
        self._ask("Page.navigate", {"url": url}, self._session)
        loaded = "document.readyState === 'complete' ? done() : addEventListener('load', () => done())"
        self.run(f"new Promise(done => {loaded})")

    def run(self, script: str):
        """Evaluates an expression in the page; a promise is waited for."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = self._ask("Runtime.evaluate", asked, self._session)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def close(self) -> None:
        self._connect.__exit__(None, None, None)
        self._child.terminate()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._folder.cleanup()
