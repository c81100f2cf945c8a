"""What a server says when it does not do what it is asked -> an error of Python."""

_LONGEST_TEXT = 1_000


class NotServedError(LookupError):
    """The server has no such model, or not this version of it."""


_BUSY = "Is it running? It may be starting, or have too much to do: try again."

# TensorFlow Serving answers with few of them, a gateway before it with the others.
_KINDS: dict[int, tuple[type[Exception], str]] = {
    400: (ValueError, "The model takes something else than it was sent."),
    401: (PermissionError, "The server wants credentials; the client has none."),
    403: (PermissionError, "The server wants credentials; the client has none."),
    404: (
        NotServedError,
        "Check the name of the model and what the server has loaded.",
    ),
    408: (TimeoutError, "Use a smaller `batch_size`."),
    413: (ValueError, "Use a smaller `batch_size`."),
    429: (ConnectionError, _BUSY),
    502: (ConnectionError, "Is the server behind this gateway running?"),
    503: (ConnectionError, _BUSY),
    504: (TimeoutError, "Use a longer `timeout` or a smaller `batch_size`."),
}


def refusal(status: int, code: str, text: str, url: str) -> Exception:
    """Returns the error for an answer that is none.

    Args:
        status: The HTTP status, or what it is for a code of gRPC.
        code: What the server calls it.
        text: The server's own words.
        url: What was asked.
    """
    kind, remedy = _KINDS.get(status, (RuntimeError, "See the log of the server."))
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}..."
    return kind(f"{url} refuses. {remedy} Received: {code}, {text!r}.")


def not_understood(url: str, received: object) -> ConnectionError:
    """Returns the error for an answer that TensorFlow Serving does not give."""
    text = repr(received)[:_LONGEST_TEXT]
    return ConnectionError(
        f"{url} does not answer as TensorFlow Serving does. Check host and port: REST "
        "(`http://`) and gRPC (`grpc://`) have a port each, 8501 and 8500 by default. "
        f"Received: {text}."
    )


def unreachable(url: str, error: Exception) -> ConnectionError:
    """Returns the error for a server that cannot be reached."""
    return ConnectionError(
        f"{url} gives no answer. Is the server running, and `url` its address? "
        f"Received: {type(error).__name__}: {error}."
    )


def too_slow(url: str, timeout: float) -> TimeoutError:
    """Returns the error for an answer that takes too long."""
    return TimeoutError(
        f"{url} did not answer in time. Use a longer `timeout` or a smaller "
        f"`batch_size`. Received: nothing in {timeout:g} seconds."
    )
