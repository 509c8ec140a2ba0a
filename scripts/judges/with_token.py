"""A proxy on the loopback that adds the bearer token to each request and changes nothing else.

The conformance suite cannot send a token, and the gateway takes no request without one. `Host` and `Origin` keep
what the suite wrote, except that the proxy's own port becomes the gateway's, so the checks of both are still the
gateway's to pass.
"""

import asyncio
import re


class Proxy:
    """`async with Proxy(port, token) as url`"""

    def __init__(self, port, token):
        self.port, self.token = port, token

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.own_port = self.server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self.own_port}/mcp"

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.port)
        back = asyncio.create_task(self.copy(upstream_reader, writer))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                upstream_writer.write(self.with_token(head))
                await self.body(head, reader, upstream_writer)
                await upstream_writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            # A client that hangs up cancels what it asked for; the gateway must see that.
            upstream_writer.close()
            await asyncio.gather(back, return_exceptions=True)

    def with_token(self, head):
        head = re.sub(rb"(?im)^((?:host|origin): .*):%d\r$" % self.own_port, rb"\g<1>:%d\r" % self.port, head)
        return head[:-2] + b"Authorization: Bearer " + self.token.encode() + b"\r\n\r\n"

    @staticmethod
    async def body(head, reader, writer):
        if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
            writer.write(await reader.readexactly(int(length[1])))
        elif re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            while True:
                line = await reader.readline()
                chunk = await reader.readexactly(int(line.split(b";")[0], 16) + 2)
                writer.write(line + chunk)
                if chunk == b"\r\n":
                    return

    @staticmethod
    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()
