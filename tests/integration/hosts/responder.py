"""Stands for an instance's proxy on another host: `python responder.py ADDRESS PORT NAME`.

`/hang/NAME` is never answered, `/stream/NAME` begins an answer and goes on for ever. With another's name they
are answered after a second, and all else at once.
"""

import asyncio
import sys
from functools import partial


async def serve(name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = head.split(b" ", 2)[1]
            if target.startswith(b"/hang/" + name):
                continue
            if target.startswith(b"/stream/" + name):
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"1\r\nx\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.1)
            if target != b"/":
                await asyncio.sleep(1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        writer.close()


async def main(address: str, port: str, name: str) -> None:
    server = await asyncio.start_server(partial(serve, name.encode()), address, int(port))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
