"""A test double that answers with what it is given, right or wrong."""

import contextlib
import socket
import threading


@contextlib.contextmanager
def canned_double(*connections):
    """Serves connections one after the other; yields the address.

    Args:
        connections: For each connection the answers to its requests, as bytes; it is
            closed after the last one. `None` is no answer until the client hangs up.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=_serve, args=(listener, connections))
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        thread.join()


def json_answer(text, status="200 OK"):
    """An HTTP answer with a body."""
    return _head(status, len(text)) + text.encode()


def cut_answer(text):
    """An HTTP answer of which the second half is lost."""
    return _head("200 OK", 2 * len(text)) + text.encode()


def _head(status, length):
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode()


def _serve(listener, connections):
    with listener:
        listener.settimeout(10.0)
        for answers in connections:
            connection, _ = listener.accept()
            connection.settimeout(10.0)
            with connection, connection.makefile("rb") as requests:
                _answer(connection, requests, answers)


def _answer(connection, requests, answers):
    with contextlib.suppress(ConnectionError):  # the client has hung up
        for answer in answers:
            _read_request(requests)
            if answer is None:
                requests.read()
            else:
                connection.sendall(answer)


def _read_request(requests):
    length = 0
    for line in iter(requests.readline, b"\r\n"):
        if not line:
            return
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    requests.read(length)
