"""A server on loopback that stands in for the real ones, with the faults that real ones have."""

import hashlib
import http.server
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """What goes wrong with the next `times` answers for a path."""

    kind: str  # a status, or: cut, stall, chunked-cut
    times: int = 1
    after: int = 0  # bytes of the body that come before
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class StandIn:
    """Files by path, and the faults to come; `asked` holds (path, Range) of all requests."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)  # path to a function from query and headers to (status, body)
    redirects: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)  # path to target and headers
    ranges: bool = True
    etags: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    stop: threading.Event = field(default_factory=threading.Event)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: StandIn

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body: bool = True):
        state, (path, _, query) = self.state, self.path.partition("?")
        path = urllib.parse.unquote(path)
        asked = self.headers.get("Range", "")
        state.asked.append((self.path, asked))
        fault = state.faults.get(path)
        if fault and fault.times > 0:
            fault.times -= 1
        else:
            fault = None
        if fault and fault.kind.isdigit():
            return self._send(int(fault.kind), b"no", fault.headers, body)
        if path in state.pages:
            words = {k: v[0] for k, v in urllib.parse.parse_qs(query, keep_blank_values=True).items()}
            status, content = state.pages[path](words, self.headers)
            return self._send(status, content, {}, body)
        if path in state.redirects:
            target, headers = state.redirects[path]
            return self._send(302, b"", {"Location": target, **headers}, body)
        if path not in state.files:
            return self._send(404, b"no such file", {}, body)
        content = state.files[path]
        headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if state.etags else {}
        status, start = 200, 0
        if asked and state.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"}, body)
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(status, content[start:], headers, body, fault)

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool, fault: Fault | None = None):
        self.send_response(status)
        chunked = bool(fault and fault.kind == "chunked-cut")
        lengths = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(content))}
        for name, value in {**lengths, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        if fault:
            some = content[: fault.after]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(some), some) if chunked and some else some)
            self.wfile.flush()
            if fault.kind == "stall":
                self.state.stop.wait(30)
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that hangs up


@contextmanager
def serving(state: StandIn | None = None) -> Iterator[StandIn]:
    """A stand-in that answers while the block lasts."""
    state = state or StandIn()
    handler = type("Handler", (_Handler,), {"state": state})
    with _Quiet(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield state
        finally:
            state.stop.set()
            server.shutdown()
