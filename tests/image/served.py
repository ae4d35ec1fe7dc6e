"""A web server for bundles: it knows ranges, by which a box reads a bundle while it installs it, and can be slow."""

from __future__ import annotations

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Served:
    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(exist_ok=True)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body: bool):
                path = folder / os.path.basename(self.path)
                if not path.exists():
                    self.send_error(404)
                    return
                size = path.stat().st_size
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                first, last = 0, size - 1
                if wanted:
                    first = int(wanted[1])
                    last = min(int(wanted[2] or last), last)
                    if first >= size:
                        self.send_error(416)
                        return
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(last - first + 1))
                self.end_headers()
                if not body:
                    return
                with open(path, "rb") as file:
                    file.seek(first)
                    left = last - first + 1
                    while left:
                        piece = file.read(min(left, 1 << 20))
                        if not piece:
                            return
                        try:
                            self.wfile.write(piece)
                        except OSError:
                            return
                        left -= len(piece)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, bundle: Path) -> str:
        """Where a box finds this file: its virtual network calls the machine around it 10.0.2.2."""
        link = self.folder / bundle.name
        if not link.exists():
            link.symlink_to(bundle)
        return f"http://10.0.2.2:{self.server.server_port}/{bundle.name}"

    def __enter__(self) -> "Served":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
