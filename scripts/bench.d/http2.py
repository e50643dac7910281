"""HTTP/2 frame by frame: as much of it as asks for one page."""

import secure

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CONTEXT = secure.context()
CONTEXT.set_alpn_protocols(["h2"])


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"bench"), (b":path", b"/1k")]
GET = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"".join(field(name, value) for name, value in PSEUDO))


def connect(port):
    """A connection over TLS, greeted."""
    client = secure.connect(port, context=CONTEXT)
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
    return client


def ask(client):
    """One request, its answer read to the end."""
    client.sendall(GET)
    while True:
        head = exactly(client, 9)
        exactly(client, int.from_bytes(head[:3], "big"))
        kind, flags = head[3], head[4]
        if kind == SETTINGS and not flags & ACK:
            client.sendall(frame(SETTINGS, ACK, 0))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return


def exactly(client, count):
    data = b""
    while len(data) < count:
        some = client.recv(count - len(data))
        if not some:
            raise SystemExit("the server closed an HTTP/2 connection")
        data += some
    return data
