"""The smallest DICOMweb server: QIDO-RS and WADO-RS over files in memory, on loopback, with faults on demand."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pydicom


class Server(http.server.ThreadingHTTPServer):
    """A context manager; `faults` maps a request's path to what goes wrong there."""

    daemon_threads = True

    def __init__(self, files: Iterable[Path], *, page: int | None = None, password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = {}
        for file in files:
            ds = pydicom.dcmread(file, stop_before_pixels=True)
            key = ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID
            self.data[key] = Path(file).read_bytes(), ds.Modality
        self.page, self.password = page, password
        self.faults: dict[str, Any] = {}
        self.hidden: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.url = f"dicomweb+http://127.0.0.1:{self.server_port}/dicom-web"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path).removeprefix("/dicom-web"), parse_qs(parts.query)
        self.server.asked[path] += 1
        if self.server.password and self.headers.get("Authorization") != self.server.password:
            self.answer(b"", "text/plain", 401)
            return
        fault = self.server.faults.get(path)
        if fault is not None and fault(self):
            return
        words = path.strip("/").split("/")
        if path == "/series":
            self.list_series(query, None)
        elif len(words) == 3 and words[2] == "series":
            self.list_series(query, words[1])
        elif len(words) == 5 and words[4] == "instances":
            rows = [{"00080018": value(i)} for s, e, i in self.server.data if (s, e) == (words[1], words[3])
                    and i not in self.server.hidden]  # fmt: skip
            self.listing(rows, query)
        elif len(words) == 6 and (words[1], words[3], words[5]) in self.server.data:
            self.instance(self.server.data[words[1], words[3], words[5]][0])
        else:
            self.answer(b"", "text/plain", 404)

    def list_series(self, query: dict[str, list[str]], study: str | None) -> None:
        counts: Counter[tuple[str, str, str]] = Counter()
        for (one, series, _), (_, modality) in self.server.data.items():
            counts[one, series, modality] += 1
        rows = [
            {"0020000D": value(s), "0020000E": value(e), "00080060": {"vr": "CS", "Value": [m]},
             "00201209": {"vr": "IS", "Value": [n]}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "CANARY"}]}}
            for (s, e, m), n in counts.items()
            if study in (None, s) and query.get("SeriesInstanceUID", [e]) == [e] and query.get("Modality", [m]) == [m]
        ]  # fmt: skip
        self.listing(rows, query)

    def listing(self, rows: list[dict[str, Any]], query: dict[str, list[str]]) -> None:
        first, count = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["100000"])[0])
        if self.server.page is not None:
            count = min(count, self.server.page)
        self.answer(json.dumps(rows[first : first + count]).encode(), "application/dicom+json")

    def instance(self, data: bytes) -> None:
        body = b"--mark\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--mark--\r\n"
        self.answer(body, 'multipart/related; type="application/dicom"; boundary=mark')

    def answer(self, body: bytes, kind: str, status: int = 200, length: int | None = None, **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, text in more.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)


def value(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def busy(times: int) -> Any:
    """A server that puts off the first requests."""
    left = [times]

    def fault(handler: Handler) -> bool:
        left[0] -= 1
        if left[0] >= 0:
            handler.answer(b"", "text/plain", 503)
        return left[0] >= 0

    return fault


def answers(body: bytes, kind: str = "application/dicom+json", status: int = 200, **more: Any) -> Any:
    """One answer, whatever is asked."""

    def fault(handler: Handler) -> bool:
        handler.answer(body, kind, status, **more)
        handler.close_connection = True
        return True

    return fault


def slow(handler: Handler) -> bool:
    """Sends a byte now and then."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom")
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b"x" * (1 << 18))
            time.sleep(0.1)
    except OSError:
        pass
    handler.close_connection = True
    return True
