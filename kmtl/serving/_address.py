"""Where a server listens."""

from typing import Any
from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("http", "https", "grpc", "grpcs")


def split_address(url: Any) -> SplitResult:
    """Checks and splits the address of a server.

    Args:
        url: `http://host:port` or `https://...` for REST, with a path where a gateway
            puts the server under one; `grpc://host:port` or `grpcs://...` for gRPC.

    Raises:
        ValueError: If it is anything else.
    """
    try:
        address = urlsplit(url if isinstance(url, str) else "")
        named = address.scheme in _SCHEMES and address.hostname and address.port != 0
    except ValueError as error:  # a port that is no number, a half-open bracket
        raise _wrong(url, f" ({error})") from error
    if not named:
        raise _wrong(url)
    if address.username is not None or address.query or address.fragment:
        raise _wrong(url, ": more than an address")
    path = address.path.rstrip("/")
    if "/v1/models" in path or (path and not address.scheme.startswith("http")):
        raise _wrong(url, ": the client adds the path")
    return address._replace(path=path)


def _wrong(url: Any, why: str = "") -> ValueError:
    return ValueError(
        "`url` must be the address of a server, such as 'http://localhost:8501' for "
        f"REST or 'grpc://localhost:8500' for gRPC. Received: {url!r}{why}."
    )
