"""An HTTP/3 server on aioquic, in a process of its own: `python http3_server.py PORT CERT KEY [CLIENT_CA]`.

It answers by path: `/echo` with what it got, `/trailers` with the trailers that came, `/early` before the request has ended,
`/reset` in the middle, `/hold` never (and says on standard output how the request ended), `/goodbye` and then goes away.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, StopSendingReceived, StreamReset

connections = 0


def say(**what):
    print(json.dumps(what), flush=True)


class Server(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            global connections
            connections += 1
            self.http, self.requests = H3Connection(self._quic), {}
            return
        if isinstance(event, StopSendingReceived):
            say(stopped=event.error_code)
        if isinstance(event, StreamReset):
            say(reset=event.error_code)
        for event in self.http.handle_event(event):
            self.requests.setdefault(event.stream_id, Request(self, event.stream_id)).hear(event)
        self.transmit()


class Request:
    def __init__(self, server, stream):
        self.server, self.http, self.stream = server, server.http, stream
        self.headers, self.body, self.trailers = None, 0, []

    def hear(self, event):
        if isinstance(event, HeadersReceived):
            fields = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            if self.headers is None:
                self.headers = dict(fields)
                self.path, self.query = urlsplit(self.headers[":path"]).path, parse_qs(urlsplit(self.headers[":path"]).query)
                self.begin()
            else:
                self.trailers = event.headers
        elif isinstance(event, DataReceived):
            self.body += len(event.data)
            if self.path == "/mirror":
                self.http.send_data(self.stream, event.data, False)
        if event.stream_ended:
            self.end()

    def answer(self, status=200, *headers):
        self.http.send_headers(self.stream, [(b":status", str(status).encode()), *headers])

    def begin(self):
        if self.headers.get("expect") == "100-continue":
            self.answer(100)
        if self.path == "/early":
            self.answer(200)
            self.http.send_data(self.stream, b"early", True)
        elif self.path == "/mirror":
            self.answer(200)
        elif self.path == "/hints":
            self.answer(103, (b"link", b"</style.css>; rel=preload"))
        elif self.path == "/hold":
            self.answer(200)
            self.http.send_data(self.stream, b"held", False)
            say(began=True)

    def end(self):
        match self.path:
            case "/echo" | "/hints":
                text = json.dumps({"headers": self.headers, "body": self.body, "connections": connections}).encode()
                self.answer(200, (b"content-type", b"application/json"), (b"content-length", str(len(text)).encode()),
                            (b"set-cookie", b"__Host-portcullis=stolen; Path=/"), (b"set-cookie", b"app=mine"))
                self.http.send_data(self.stream, b"" if self.headers[":method"] == "HEAD" else text, True)
            case "/bytes":
                self.answer(200)
                self.http.send_data(self.stream, b"x" * int(self.query["n"][0]), True)
            case "/trailers" | "/mirror":
                if self.path == "/trailers":
                    self.answer(200)
                    self.http.send_data(self.stream, b"body", False)
                self.http.send_headers(self.stream, [(b"x-checksum", b"abc"), *self.trailers], True)
            case "/reset":
                self.answer(200)
                self.http.send_data(self.stream, b"half", False)
                self.server._quic.reset_stream(self.stream, 0x102)
            case "/length":
                self.answer(200, (b"content-length", b"10"))
                self.http.send_data(self.stream, b"short", True)
            case "/close":
                self.server.close(error_code=0x100)
            case "/early" | "/hold":
                say(body=self.body)
            case _:
                self.answer(404)
                self.http.send_data(self.stream, b"", True)


async def main(port, cert, key):
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=False, max_datagram_frame_size=None)
    configuration.load_cert_chain(cert, key)
    await serve("127.0.0.1", int(port), configuration=configuration, create_protocol=Server)
    say(ready=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:4]))
