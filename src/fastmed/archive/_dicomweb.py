"""DICOMweb: what a server lists of series and instances (QIDO-RS), and their bytes (WADO-RS).

A place is ``dicomweb+http://host/.../studies/UID/series/UID/instances/UID``. Instances are retrieved as they are
stored, and parsed by the same code as files, under the same limits.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import FastmedError, LimitExceeded, RemoteError
from ._limits import Limits
from ._model import long_hash

_PREFIX = "dicomweb+"
_PLACE = re.compile(r"(.*?)(?:/studies/([0-9.]{1,64})(?:/series/([0-9.]{1,64})(?:/instances/([0-9.]{0,64}))?)?)?/*")
_UID = re.compile(r"[0-9.]{1,64}")
_PAGE = 1000
#: Tries after the first, with waits of 0.2, 0.4 and 0.8 s, of requests that failed or that a busy server put off.
_RETRIES, _WAIT, _BUSY = 3, 0.2, (429, 502, 503, 504)
#: Longest silence of a server.
_SILENCE = 30.0
#: An answer that lists things may be so large.
_LONGEST_LIST = 1 << 28
#: Bytes of instances that are kept in memory: reading a series would retrieve again what the scan had.
_KEPT = 1 << 28
_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

_local = threading.local()
_kept: OrderedDict[str, bytes] = OrderedDict()
_kept_lock = threading.Lock()


def is_dicomweb(path: str) -> bool:
    """Whether this is a place on a DICOMweb server."""
    return path.startswith((f"{_PREFIX}http://", f"{_PREFIX}https://"))


def series_of(path: str) -> str:
    """The hash of the series that an instance is listed in; known even where it cannot be retrieved."""
    found = _PLACE.fullmatch(path)
    return long_hash(found[3]) if is_dicomweb(path) and found and found[3] else ""


def name_of_instance(path: str) -> str:
    """What stands for a place in tables: it holds UIDs."""
    found = _PLACE.fullmatch(path)
    if not found or not found[3]:
        return "the server"
    return f"series {long_hash(found[3])[:16]}, " + (f"instance {long_hash(found[4])[:16]}" if found[4] else "others")


# ---------------------------------------------------------------------------------------------------- listing


def list_instances(root: str, limits: Limits) -> tuple[str, list[str]]:
    """The server's address, and the places of all instances that it lists under `root`.

    Where a series lacks instances that the server counts, one place more stands for them; it cannot be opened.

    Raises
    ------
    RemoteError
        If the server does not answer, or not as DICOMweb demands.
    LimitExceeded
        If it lists more instances than `limits.max_members`, or answers without end.
    """
    address, _, query = root.partition("?")
    found = _PLACE.fullmatch(address)
    assert found is not None  # every part is optional
    base, study, series, instance = found.groups()
    if instance:
        return base, [address.rstrip("/")]
    client = _client(base, limits)
    places: list[str] = []
    filters = dict(parse_qsl(query))
    if series:
        filters["SeriesInstanceUID"] = series
    for one in _pages(client.search_for_series, "0020000E", limits, study_instance_uid=study, search_filters=filters):
        own_study, own_series = study or _value(one, "0020000D"), _value(one, "0020000E")
        counted = one.get("00201209", {}).get("Value") or [0]
        expected = int(counted[0]) if isinstance(counted[0], (int, float, str)) and str(counted[0]).isdigit() else 0
        here = f"{base}/studies/{own_study}/series/{own_series}/instances/"
        instances = _pages(client.search_for_instances, "00080018", limits, expected,
                           study_instance_uid=own_study, series_instance_uid=own_series)  # fmt: skip
        uids = sorted({_value(item, "00080018") for item in instances})
        places += [here + uid for uid in uids]
        if len(uids) < expected:
            places.append(here)
        if len(places) > limits.max_members:
            raise LimitExceeded(f"the server lists over {limits.max_members} instances, which is Limits.max_members")
    return base, places


def _pages(
    search: Callable[..., list[dict[str, Any]]], tag: str, limits: Limits, expected: int = 0, **about: Any
) -> Iterator[dict[str, Any]]:
    """All that a search finds, page by page; servers may give smaller pages, or all at once whatever is asked for."""
    seen: set[str] = set()
    while True:
        with _spoken():
            page = search(limit=_PAGE, offset=len(seen), **about)
            if not isinstance(page, list) or not all(isinstance(one, dict) for one in page):
                raise RemoteError("the server's list is none of DICOM datasets")
        new = [one for one in page if _value(one, tag) not in seen]
        seen |= {_value(one, tag) for one in new}
        if len(seen) > limits.max_members:
            raise LimitExceeded(f"the server lists over {limits.max_members} things, which is Limits.max_members")
        yield from new
        if not new or (expected and len(seen) >= expected):
            return


def _value(dataset: dict[str, Any], tag: str) -> str:
    """A UID of a DICOM JSON dataset."""
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    if not isinstance(values, list) or not values or not _UID.fullmatch(str(values[0])):
        raise RemoteError(f"the server's list lacks a valid UID ({tag})")
    return str(values[0])


# ------------------------------------------------------------------------------------------------- retrieving


def open_instance(place: str, limits: Limits) -> BinaryIO:
    """The bytes of an instance.

    Raises
    ------
    RemoteError
        If the server does not give them.
    LimitExceeded
        If they are too many, or come too slowly.
    """
    found = _PLACE.fullmatch(place)
    if not found or not found[4]:
        raise RemoteError("the server counts more instances in this series than it lists")
    with _kept_lock:
        data = _kept.get(place)
        if data is not None:
            _kept.move_to_end(place)
            return io.BytesIO(data)
    data = _retrieve(place, found[1], limits)
    with _kept_lock:
        _kept[place] = data
        while sum(map(len, _kept.values())) > _KEPT:
            _kept.popitem(last=False)
    return io.BytesIO(data)


def _retrieve(place: str, base: str, limits: Limits) -> bytes:
    session = _session(base, limits.max_volume_bytes, limits.max_seconds)
    url = _plain(base) + place.removeprefix(base)
    with _spoken():
        response = session.get(url, headers={"Accept": _STORED}, timeout=_patience(limits))
        if response.status_code == 406:  # a server that wants no transfer syntax named
            accept = _STORED.partition("; transfer-syntax")[0]
            response = session.get(url, headers={"Accept": accept}, timeout=_patience(limits))
        response.raise_for_status()
        return _single_part(response.content, response.headers.get("Content-Type", ""))


def _single_part(body: bytes, content_type: str) -> bytes:
    """The one part of a multipart answer, or an answer that is no multipart one."""
    header = Message()
    header["Content-Type"] = content_type
    kind, boundary = header.get_content_type(), header.get_param("boundary")
    if kind in ("application/dicom", "application/octet-stream"):
        return body
    if kind != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise RemoteError("the server's answer is no DICOM file")
    mark = b"--" + boundary.encode("ascii", "replace")
    start = body.find(mark)
    head = body.find(b"\r\n\r\n", start)
    end = body.rfind(b"\r\n" + mark)
    if start < 0 or head < 0 or end < head + 4 or body[end + 2 + len(mark) :][:2] != b"--":
        raise RemoteError("the server's answer was cut off")
    data = body[head + 4 : end]
    if b"\r\n" + mark + b"\r\n" in data:
        raise RemoteError("the server's answer holds several files where one was wanted")
    return data


# -------------------------------------------------------------------------------------------------- connection


def _client(base: str, limits: Limits) -> Any:
    session = _session(base, min(_LONGEST_LIST, limits.max_volume_bytes), limits.max_seconds)
    from dicomweb_client.api import DICOMwebClient

    client = DICOMwebClient(_plain(base), session=session, timeout=_patience(limits))
    client.set_http_retry_params(retry=False)  # the session tries again, and not after every error
    return client


def _patience(limits: Limits) -> float:
    return min(_SILENCE, limits.max_seconds)


def _plain(base: str) -> str:
    """The address for HTTP, without user and password."""
    parts = urlsplit(base.removeprefix(_PREFIX))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _session(base: str, most: int, seconds: float) -> Any:
    """A session of this thread for one server; what it receives is bounded in bytes and in time."""
    try:
        import dicomweb_client  # noqa: F401
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry
    except ImportError:
        raise RemoteError("DICOMweb needs dicomweb-client: pip install 'fastmed[web]'") from None
    sessions = _local.__dict__.setdefault("sessions", {})
    if (base, most, seconds) not in sessions:
        session = requests.Session()
        again = Retry(_RETRIES, redirect=0, backoff_factor=_WAIT, status_forcelist=_BUSY, raise_on_status=False,
                      respect_retry_after_header=False)  # fmt: skip
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        session.max_redirects = 0  # where else it points to was not asked for
        parts = urlsplit(base.removeprefix(_PREFIX))
        if parts.username is not None:
            session.auth = (unquote(parts.username), unquote(parts.password or ""))
        session.hooks["response"] = [_bounded(most, seconds)]
        original = session.send
        # Else requests would read an answer to its end before anybody can count its bytes.
        session.send = lambda request, **more: original(request, **{**more, "stream": True})  # type: ignore[method-assign]
        sessions[base, most, seconds] = session
    return sessions[base, most, seconds]


def _bounded(most: int, seconds: float) -> Callable[..., None]:
    def read(response: Any, *_: Any, **__: Any) -> None:
        end = time.monotonic() + seconds
        parts, size = [], 0
        for part in response.iter_content(1 << 18):
            size += len(part)
            if size > most:
                response.close()
                raise LimitExceeded(f"the server's answer is larger than {most} bytes")
            if time.monotonic() > end:
                response.close()
                raise LimitExceeded("the server's answer took longer than Limits.max_seconds")
            parts.append(part)
        response._content, response._content_consumed = b"".join(parts), True

    return read


@contextlib.contextmanager
def _spoken() -> Iterator[None]:
    """Turn whatever goes wrong with a server into a RemoteError; addresses hold UIDs and are not quoted."""
    import requests

    try:
        yield
    except FastmedError:
        raise
    except requests.HTTPError as error:
        status = getattr(error.response, "status_code", "unknown")
        raise RemoteError(f"the server answered with status {status}") from None
    except requests.Timeout:
        raise RemoteError("the server did not answer in time") from None
    except Exception as error:
        raise RemoteError(f"the server cannot be understood or reached ({type(error).__name__})") from None
