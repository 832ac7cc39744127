"""URLs that fsspec opens: what lies under one, and the bytes of what lies there."""

from __future__ import annotations

import io
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ..errors import FastmedError, LimitExceeded, RemoteError
from ._limits import Limits

#: Of fsspec's protocols, the packages that it needs for them.
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs", "sftp": "paramiko",
    "ssh": "paramiko", "http": "aiohttp", "https": "aiohttp",
}  # fmt: skip


def is_url(path: str) -> bool:
    """Whether this is no path of this machine."""
    return "://" in path


def filesystem_of(url: str) -> tuple[Any, str]:
    """What fsspec opens a URL with, and the place in it.

    Raises
    ------
    RemoteError
        If there is no such protocol, what it needs is not installed, or it cannot be set up.
    """
    try:
        import fsspec
    except ImportError:
        raise RemoteError("URLs need fsspec, which is not installed: pip install 'fastmed[archive]'") from None
    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError:
        from fsspec.registry import known_implementations

        if protocol in _PACKAGES:
            package = _PACKAGES[protocol]
            raise RemoteError(f"{protocol}:// needs {package}, which is not installed: pip install {package}") from None
        needed = known_implementations.get(protocol, {}).get("err", "")
        raise RemoteError(f"{protocol}:// needs a package that is not installed. {needed}".strip()) from None
    except ValueError:
        if protocol in fsspec.available_protocols():
            raise RemoteError(f"the URL is none that {protocol}:// can open") from None
        raise RemoteError(
            f"{protocol[:20]!r} is no protocol of fsspec; there are file, memory, http, https, s3, gs, sftp, zip..."
        ) from None
    except Exception as error:  # credentials, hosts, options
        raise RemoteError(f"{protocol}:// cannot be set up ({type(error).__name__})") from None


def list_remote(root: str) -> tuple[str, list[str]]:
    """The folder that rows are relative to, and the URLs of all files in or under `root`.

    Raises
    ------
    FileNotFoundError
        If the URL does not exist.
    RemoteError
        If it cannot be listed.
    """
    before, chained, last = root.rpartition("::")  # a cache before a store: simplecache::s3://...
    if "://" in before:
        raise RemoteError("of chained URLs only zip:// and caches (simplecache::, filecache::) can be listed")
    files, place = filesystem_of(last)
    prefix = before + chained

    def url(one: str) -> str:
        return prefix + str(files.unstrip_protocol(one))

    try:
        if not files.exists(place):
            raise FileNotFoundError("root must be a folder or a file: the URL does not exist")
        if not last.endswith("/") and files.isfile(place) and not _lists(files, place):
            return root.rpartition("/")[0], [url(place)]
        return url(place).rstrip("/"), [url(one) for one in sorted(files.find(place)) if not one.endswith("/")]
    except (FileNotFoundError, FastmedError):
        raise
    except Exception as error:
        raise RemoteError(f"the URL cannot be listed ({type(error).__name__})") from None


def _lists(files: Any, place: str) -> bool:
    """Whether a page of HTTP, of which none can say whether it is a file or a folder, leads to what is below it."""
    if not _is_http(files) or "." in urlsplit(place).path.rpartition("/")[2]:
        return False
    try:
        return bool(files.ls(place + "/", detail=False))
    except Exception:  # any that the store has: opening it as a file will say what is wrong
        return False


def _is_http(files: Any) -> bool:
    return "http" in ((files.protocol,) if isinstance(files.protocol, str) else files.protocol)


def open_remote(url: str, limits: Limits) -> BinaryIO:
    """Open a URL for reading, at its first byte.

    Raises
    ------
    RemoteError
        If that fails.
    LimitExceeded
        If the store can give it only whole, and it is larger than `limits` allow.
    """
    files, place = filesystem_of(url)
    try:
        if not _is_http(files) or files.info(place).get("partial"):
            stream = files.open(place, "rb")
            if stream.seekable():
                return stream
        else:  # the server gives no parts
            stream = files.open(place, "rb", block_size=0)
        with stream:
            data = stream.read(limits.max_inflated_bytes + 1)
    except Exception as error:
        raise RemoteError(f"the URL cannot be opened ({type(error).__name__})") from None
    if len(data) > limits.max_inflated_bytes:
        raise LimitExceeded(f"a file of over {limits.max_inflated_bytes} bytes on a server that gives no parts of it")
    return io.BytesIO(data)


def stamp_of_url(url: str) -> tuple[int, int]:
    """Size, and a number that changes with what the store says of the file (times, checksums)."""
    files, place = filesystem_of(url)
    try:
        return int(files.info(place)["size"] or 0), int(files.ukey(place)[:12], 16)
    except Exception as error:
        raise RemoteError(f"the URL cannot be opened ({type(error).__name__})") from None
