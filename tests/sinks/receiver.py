"""A server at a free port that keeps what it is posted, and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answer` maps the body to a status and a text; `posts` are all that came."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    answer: Callable[[bytes], tuple[int, str]] = lambda body: (200, "{}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, enough: Callable[[list[Post]], object], seconds: float = 10.0) -> list[Post]:
        """The posts, once there are enough of them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if enough(list(self.posts)):
                return list(self.posts)
            time.sleep(0.01)
        raise AssertionError(f"after {seconds} s: {[(post.status, post.body[:2000]) for post in self.posts]}")


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text = made.answer(body)
            made.posts.append(Post(self.path, dict(self.headers), body, status))
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
