"""The bus: publishers, subscribers, replay, commands. The only import of zmq."""

from libs.messaging.codec import Received
from libs.messaging.commands import CommandClient, CommandServer
from libs.messaging.errors import BusRefused, GapUnrecoverable, MalformedMessage, SequenceBroken
from libs.messaging.feeds import subscribe, subscribe_async
from libs.messaging.publisher import Publisher
from libs.messaging.replay import Record, ReplaySource
from libs.messaging.subscriber import Subscriber

__all__ = [
    "BusRefused",
    "CommandClient",
    "CommandServer",
    "GapUnrecoverable",
    "MalformedMessage",
    "Publisher",
    "Received",
    "Record",
    "ReplaySource",
    "SequenceBroken",
    "Subscriber",
    "subscribe",
    "subscribe_async",
]
