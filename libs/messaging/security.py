"""Who may connect: CURVE on both ends and an allow-list of client keys, asked at every handshake."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import zmq
import zmq.auth.thread

from libs.messaging.errors import BusRefused
from libs.messaging.keys import CLIENT, SERVER, KeyStore
from libs.settings.model import Settings

if TYPE_CHECKING:
    Context = zmq.Context[zmq.Socket[bytes]]
    Socket = zmq.Socket[bytes]

_DOMAIN = "fleet"


class Admission:
    """The door of one context: a thread that answers, for every client that knocks, whether its key is on the list.

    CURVE alone admits any key pair; without this thread the sockets admit nobody.
    """

    def __init__(self, context: Context, settings: Settings) -> None:
        self._keys = KeyStore(settings)
        try:
            self._pair = self._keys.pair(SERVER)
        except FileNotFoundError as e:
            raise BusRefused(f"bus.curve is on, and there is no server key: {e}; run `fleet keys new {SERVER}`") from e
        # Its log names every refused key at level error, which a stranger could fill a disk with.
        log = logging.getLogger("fleet.bus.admission")
        log.setLevel(logging.CRITICAL)
        self._authenticator = zmq.auth.thread.ThreadAuthenticator(context, log=log)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(_DOMAIN, self)

    def callback(self, domain: str, key: bytes) -> bool:
        """Say whether a client may come in; the authenticator calls it by this name."""
        return domain == _DOMAIN and key in self._keys.admitted()

    def guard(self, socket: Socket) -> None:
        """Make a socket that is about to bind admit only those on the list."""
        socket.curve_publickey, socket.curve_secretkey = self._pair
        socket.curve_server = True
        socket.zap_domain = _DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def close(self) -> None:
        self._authenticator.stop()


def identify(socket: Socket, settings: Settings) -> None:
    """Give a socket that is about to connect our own key and the server's."""
    keys = KeyStore(settings)
    socket.curve_publickey, socket.curve_secretkey = keys.pair(CLIENT)
    socket.curve_serverkey = keys.public_key(SERVER)
