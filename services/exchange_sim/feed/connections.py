"""One client's WebSocket: a bounded queue, a sender, silence and sudden death on demand."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from libs.runtime.logs import get_logger
from services.exchange_sim.faults.plan import FaultPlan

#: Key, trade time, price, cumulative volume: the truth about one tick that was sent.
SentTick = tuple[str, int, float, int]
MARKET, PORTFOLIO = "market", "portfolio"
_EMPTYING_MAX_S = 5.0
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass
class SentLog:
    """What was really handed to the network on one connection."""

    keep: bool
    most: int
    frames: int = 0
    ticks: int = 0
    bytes: int = 0
    dropped_frames: int = 0
    records: list[SentTick] = field(default_factory=list)

    def add(self, payload_length: int, count: int, ticks: Sequence[SentTick]) -> None:
        """Note one message that was sent."""
        self.frames += 1
        self.bytes += payload_length
        self.ticks += count
        if self.keep and len(self.records) + len(ticks) <= self.most:
            self.records.extend(ticks)


class StreamConnection:
    """A WebSocket of either stream. `serve` runs until it is over, whoever ends it."""

    def __init__(
        self, number: int, stream: str, request: web.Request, faults: FaultPlan, log: SentLog, *, queue_max: int,
        ping_interval_s: float,
    ) -> None:  # fmt: skip
        self.number = number
        self.stream = stream
        self.sent = log
        self.closed = ""
        self._request = request
        self._faults = faults
        self._queue: asyncio.Queue[tuple[bytes | str, Sequence[SentTick]]] = asyncio.Queue(queue_max)
        self._ping_interval_s = ping_interval_s
        self._socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=4_194_304)

    @property
    def response(self) -> web.WebSocketResponse:
        """What the request's handler returns when the connection is over."""
        return self._socket

    async def emptied(self) -> None:
        """Wait until everything queued so far is on its way; not for ever, because a dead client takes nothing."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), _EMPTYING_MAX_S)

    async def open(self) -> None:
        """Shake hands."""
        await self._socket.prepare(self._request)

    def push(self, payload: bytes | str, ticks: Sequence[SentTick] = ()) -> None:
        """Queue a message. A client that reads so slowly that the queue is full is thrown out."""
        if self.closed:
            return
        try:
            self._queue.put_nowait((payload, ticks))
        except asyncio.QueueFull:
            self.closed = "slow consumer"
            get_logger().warning("stream.slow_consumer", connection=self.number, queued=self._queue.qsize())
            self.abort()

    async def send_now(self, payload: bytes, count: int, ticks: Sequence[SentTick]) -> None:
        """Send past the queue and wait until the network takes it: how a flood gets its back-pressure."""
        await self._socket.send_bytes(payload)
        self.sent.add(len(payload), count, ticks)

    async def serve(self) -> None:
        """Send what is queued and take what comes until the connection ends."""
        sender = asyncio.create_task(self._send_queued())
        pinger = asyncio.create_task(self._ping())
        try:
            await self._receive()
        finally:
            self.closed = self.closed or f"client: {self._socket.close_code}"
            for task in (sender, pinger):
                task.cancel()
            await asyncio.gather(sender, pinger, return_exceptions=True)

    async def on_message(self, data: bytes | str) -> None:
        """Take a message of the client; the portfolio stream expects none."""

    async def close(self, code: int) -> None:
        """End the connection with a code; 1006 stands for none at all."""
        self.closed = self.closed or f"server: {code}"
        if code == WSCloseCode.ABNORMAL_CLOSURE:
            self.abort()
        else:
            await self._socket.close(code=code, message=b"simulated close", drain=False)

    def abort(self) -> None:
        """Drop the connection without a closing frame."""
        self.closed = self.closed or "server: dropped"
        if self._request.transport is not None:
            self._request.transport.abort()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        self.closed = self.closed or "server: reset"
        reset_transport(self._request)

    def describe(self) -> dict[str, Any]:
        """Say what is known about the connection, for `/_sim/state`."""
        return {
            "id": self.number,
            "stream": self.stream,
            "closed": self.closed,
            "frames_sent": self.sent.frames,
            "frames_dropped": self.sent.dropped_frames,
            "ticks_sent": self.sent.ticks,
            "bytes_sent": self.sent.bytes,
        }

    def _muted(self) -> bool:
        return self._faults.in_force("mute", stream=self.stream) is not None

    async def _send_queued(self) -> None:
        while True:
            payload, ticks = await self._queue.get()
            self._queue.task_done()
            if self._muted():
                self.sent.dropped_frames += 1
                continue
            try:
                if isinstance(payload, str):
                    await self._socket.send_str(payload)
                else:
                    if self._faults.strike("garbage"):
                        await self._socket.send_bytes(b"\xff\xfe" + payload[: len(payload) // 2])
                    await self._socket.send_bytes(payload)
            except (ConnectionError, RuntimeError):
                return  # it is over; `serve` learns it from its own side
            self.sent.add(len(payload), len(ticks), ticks)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._ping_interval_s)
            if not self._muted():
                try:
                    await self._socket.ping()
                except (ConnectionError, RuntimeError):
                    return

    async def _receive(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.PING:
                mute = self._faults.in_force("mute", stream=self.stream)
                if mute is None or mute.parameters["pongs"]:
                    await self._socket.pong(message.data)
            elif message.type in {WSMsgType.BINARY, WSMsgType.TEXT}:
                await self.on_message(message.data)


def reset_transport(request: web.Request) -> None:
    """End a request's connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
