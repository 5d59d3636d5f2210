"""Commands: asking an owner to do something to its store, and being told what became of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from libs.contracts.bus import CommandReply, CommandRequest, CommandStatus
from libs.core.clock import Clock, SystemClock
from libs.core.errors import Corrupt, FleetError, OutcomeUnknown, Refused, RetryLater
from libs.core.ids import random_id
from libs.core.waiting import wait_a_while
from libs.messaging.codec import encode
from libs.messaging.metrics import CommandMetrics
from libs.messaging.sockets import Hub, receive, send_or_drop
from libs.settings.model import Settings

_COMMANDS_PER_PUMP = 16
#: The state an answer gives while a command that takes its time is not over; ask again with the same id.
UNDER_WAY = "under way"
_IDLE_S = 0.05

#: Does a command and gives its result; raises one of the four kinds of error when it does not.
Handler = Callable[[CommandRequest], Any]


class CommandServer:
    """An owner's command socket. Belongs to the thread or loop that owns the store.

    Answers are remembered by command id, so that a repeat does nothing; a handler whose commands must stay single
    across a restart keeps the ids in its store, in the transaction of what they did. An answer whose state is
    `under way` is none yet: its handler knows the id, and is asked again what came of it.
    """

    def __init__(self, hub: Hub, service: str, handler: Handler, *, settings: Settings, clock: Clock) -> None:
        self.metrics = CommandMetrics()
        self._hub = hub
        self._handler = handler
        self._clock = clock
        self._results_max = settings.bus.command_results_max
        self._socket = hub.bound(zmq.ROUTER, service, "command", settings.bus.request_bytes_max)
        self._decoder = msgspec.msgpack.Decoder(CommandRequest)
        self._answers: OrderedDict[str, bytes] = OrderedDict()

    @classmethod
    def open(cls, service: str, handler: Handler, *, settings: Settings, clock: Clock | None = None) -> Self:
        """Bind the service's command socket; call it only while holding the service's writer lock."""
        hub = Hub(settings)
        try:
            return cls(hub, service, handler, settings=settings, clock=clock or SystemClock())
        except BaseException:
            hub.close()
            raise

    def pump(self) -> None:
        """Do the commands that wait, a few at a time. Never waits."""
        for _ in range(_COMMANDS_PER_PUMP):
            frames = receive(self._socket)
            if frames is None:
                return
            self._serve(frames)

    async def run(self) -> None:
        """Pump for ever inside an event loop, woken by the socket."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        descriptor = int(self._socket.fileno())
        loop.add_reader(descriptor, woken.set)
        try:
            while True:
                woken.clear()
                self.pump()
                await wait_a_while(woken, _IDLE_S)
        finally:
            loop.remove_reader(descriptor)

    def close(self) -> None:
        self._hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, frames: list[bytes]) -> None:
        try:
            request = self._decoder.decode(frames[1] if len(frames) == 2 else b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.metrics.malformed += 1
            return
        answer = self._answers.get(request.command_id)
        if answer is not None:
            self.metrics.repeated += 1
            send_or_drop(self._socket, (frames[0], answer))
            return
        if request.expires_us and self._clock.now_us() > request.expires_us:
            self.metrics.expired += 1  # its sender has given up, and may be asking again by now
            return
        reply, stop = self._do(request)
        answer = _encoded(reply)
        if reply.status is not CommandStatus.RETRY_LATER and not _is_under_way(reply):
            self._answers[request.command_id] = answer
            if len(self._answers) > self._results_max:
                self._answers.popitem(last=False)
        send_or_drop(self._socket, (frames[0], answer))
        if stop is not None:
            raise stop

    def _do(self, request: CommandRequest) -> tuple[CommandReply, Corrupt | None]:
        stop = None
        try:
            result = self._handler(request)
        except Refused as e:
            status, detail = CommandStatus.REFUSED, str(e)
        except RetryLater as e:
            status, detail = CommandStatus.RETRY_LATER, str(e)
        except Corrupt as e:
            status, detail, stop = CommandStatus.UNKNOWN, str(e), e
        except Exception as e:  # noqa: BLE001  # a client must not be able to take the owner down with odd arguments
            status, detail = CommandStatus.UNKNOWN, f"{type(e).__name__}: {e}"
        else:
            self.metrics.done += 1
            return CommandReply(
                request.command_id, CommandStatus.OK, result=result, expires_us=request.expires_us
            ), None
        if status is CommandStatus.UNKNOWN:
            self.metrics.failed += 1
        else:
            self.metrics.refused += 1
        return CommandReply(request.command_id, status, detail, expires_us=request.expires_us), stop


def _is_under_way(reply: CommandReply) -> bool:
    return isinstance(reply.result, dict) and reply.result.get("state") == UNDER_WAY


class CommandClient:
    """Asks one owner. Belongs to one thread or event loop."""

    def __init__(self, service: str, *, settings: Settings, clock: Clock | None = None) -> None:
        self._service = service
        self._clock = clock or SystemClock()
        self._timeout_ms = settings.bus.command_timeout_ms
        self._hub = Hub(settings)
        try:
            self._socket = self._hub.connected(
                zmq.DEALER, service, "command", settings.bus.message_bytes_max, only_when_there=True
            )
        except BaseException:
            self._hub.close()
            raise
        self._decoder = msgspec.msgpack.Decoder(CommandReply)

    def call(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, command_id: str = "", timeout_ms: int = 0
    ) -> Any:
        """Have it done and give the result.

        Raise `Refused` or `RetryLater` as the owner did; `RetryLater` when there is no owner to ask; `OutcomeUnknown`
        when it was asked and did not answer, or failed on the way. Repeating with the same `command_id` is harmless.
        """
        wait_ms = timeout_ms or self._timeout_ms
        # In this order, so that the owner's time is up before ours.
        expires_us = self._clock.now_us() + wait_ms * 1000
        end_ns = self._clock.monotonic_ns() + wait_ms * 1_000_000
        request = CommandRequest(command_id or random_id(), name, dict(arguments or {}), expires_us)
        if not self._socket.poll(wait_ms, zmq.POLLOUT) or not send_or_drop(self._socket, (encode(request),)):
            raise RetryLater(
                f"{self._service} does not answer (is it running? `fleet status`); nothing was asked of it"
            )
        while True:
            left_ms = -((self._clock.monotonic_ns() - end_ns) // 1_000_000)  # rounded up
            if left_ms <= 0 or not self._socket.poll(left_ms):
                raise OutcomeUnknown(
                    f"{self._service} did not answer command {name!r} ({request.command_id}) within {wait_ms} ms; "
                    "it may or may not have been done. Repeat it with the same command id"
                )
            reply = self._reply(request)
            if reply is not None:
                return _result(self._service, name, reply)

    def close(self) -> None:
        self._hub.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reply(self, request: CommandRequest) -> CommandReply | None:
        """Take one reply off the socket; those to earlier commands, too late, are nobody's."""
        frames = receive(self._socket)
        if frames is None or len(frames) != 1:
            return None
        try:
            reply = self._decoder.decode(frames[0])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        late = reply.status is CommandStatus.RETRY_LATER and reply.expires_us != request.expires_us
        return None if late or reply.command_id != request.command_id else reply


def _encoded(reply: CommandReply) -> bytes:
    try:
        return encode(reply)
    except (TypeError, OverflowError) as e:
        detail = f"it was done, but its result cannot be sent: {e}"
        return encode(CommandReply(reply.command_id, CommandStatus.OK, detail))


def _result(service: str, name: str, reply: CommandReply) -> Any:
    if reply.status is CommandStatus.OK:
        return reply.result
    kinds: dict[CommandStatus, type[FleetError]] = {
        CommandStatus.REFUSED: Refused,
        CommandStatus.RETRY_LATER: RetryLater,
        CommandStatus.UNKNOWN: OutcomeUnknown,
    }
    raise kinds[reply.status](f"{service}: {name}: {reply.detail}")
