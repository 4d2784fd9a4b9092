"""What handlers rely on of their runtime, in a real microVM."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import httpx
import pytest

from aether.domain.deadline import Deadline
from aether.ports.vmm import EndReason, LogLine, Machine, MachineSpec, ignore_log
from aether.vmm.qemu import QemuVmm

pytestmark = pytest.mark.vm

MakeFunction = Callable[..., MachineSpec]

TYPESCRIPT = """
import { callId } from 'aether';

export default async function* (request: Request): AsyncGenerator<string> {
  yield `call ${callId()}\\n`;
  if (request.body) for await (const piece of request.body) yield `<${Buffer.from(piece).toString()}>`;
}
"""

STRAY = """
let strike = () => {};
setInterval(() => strike(), 10);
module.exports = () => new Promise(() => {
  strike = () => { strike = () => {}; %s };
});
"""


def within(seconds: float) -> Deadline:
    return Deadline.after(seconds, time.monotonic())


def echoed(machine: Machine, words: list[bytes]) -> bytes:
    """Sends a word only when the one before has come back; the whole answer."""
    with socket.create_connection(machine.address, timeout=30) as raw:
        raw.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Call-Id: call-1\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        answer = b""
        for word in words:
            raw.sendall(b"%x\r\n%s\r\n" % (len(word), word))
            while b"<" + word + b">" not in answer:
                piece = raw.recv(65536)
                assert piece, answer
                answer += piece
        raw.sendall(b"0\r\n\r\n")
        while piece := raw.recv(65536):
            answer += piece
    return answer


async def test_typescript_with_the_runtimes_module_streams_both_ways(vmm: QemuVmm, function: MakeFunction):
    machine = await vmm.boot(function(TYPESCRIPT, entrypoint="handler.ts"), within(60), ignore_log)
    answer = echoed(machine, [b"one", b"two", b"three"])
    assert b"call call-1\n" in answer
    assert answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("throw new Error('struck')", "Error: struck"),
        ("Promise.reject(new TypeError('struck'))", "TypeError: struck"),
    ],
)
async def test_what_is_thrown_outside_of_calls_ends_the_machine_with_its_stack(
    vmm: QemuVmm, function: MakeFunction, how: str, says: str
):
    lines: list[LogLine] = []
    machine = await vmm.boot(function(STRAY % how), within(60), lines.append)
    host, port = machine.address
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://{host}:{port}/")
    end = await machine.ended()
    assert end.reason is EndReason.EXITED
    text = "\n".join(line.text for line in lines)
    assert says in text
    assert "handler.js:5" in text
