"""A wire that remembers: a TCP forwarder that keeps every byte of both directions. One lies before the
gateway and one behind it, so that a test can lay what went in beside what came out."""

from __future__ import annotations

import socket
import struct
import threading

from gateway import wait_for

PIECE = 1 << 16


def reset(sock: socket.socket) -> None:
    """Closes with an RST."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        sock.close()


class Connection:
    """One connection through a wire: what the one who opened it sent and received."""

    def __init__(self, opener: socket.socket, target: socket.socket, keep: bool, piece: int) -> None:
        self.sent, self.received = bytearray(), bytearray()
        self._keep, self._piece = keep, piece
        self._sockets = (opener, target)
        self._open = 2
        self._lock = threading.Lock()
        for sock in self._sockets:
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, record in ((opener, target, self.sent), (target, opener, self.received)):
            threading.Thread(target=self._forward, args=(source, sink, record), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, record: bytearray) -> None:
        try:
            while piece := source.recv(self._piece):
                if self._keep:
                    record += piece
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # What broke on one side breaks on the other.
            for sock in self._sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        with self._lock:
            self._open -= 1
            if self._open == 0:
                for sock in self._sockets:
                    sock.close()

    @property
    def ended(self) -> bool:
        return self._open == 0

    def cut(self) -> None:
        """Ends both sides without a word."""
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Wire:
    """Listens at `address` and forwards to `target`, which may change from connection to connection;
    None: nobody is there, and whoever comes is reset. Nothing is forwarded in more than `piece` bytes."""

    def __init__(self, target: tuple[str, int] | None = None, keep: bool = True, piece: int = PIECE) -> None:
        self.target, self.keep, self.piece = target, keep, piece
        self.connections: list[Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                opener, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.target is None:
                    raise ConnectionRefusedError
                target = socket.create_connection(self.target, timeout=10)
            except OSError:
                reset(opener)
                continue
            self.connections.append(Connection(opener, target, self.keep, self.piece))

    def take(self) -> list[tuple[bytes, bytes]]:
        """The connections so far, when all have ended: sent and received; the record starts anew."""
        wait_for(lambda: all(one.ended for one in self.connections), "every connection has ended")
        taken, self.connections = self.connections, []
        return [(bytes(one.sent), bytes(one.received)) for one in taken]

    def close(self) -> None:
        # Wakes the thread that accepts, which closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self.connections:
            one.cut()
