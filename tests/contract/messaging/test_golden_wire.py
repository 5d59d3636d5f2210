"""Bytes written once stay readable: golden files of every message, only ever added to.

A file is `<message>.<version>.hex`. To add one after a field was added: write the hex this test prints under the next
version's number, and leave the earlier files alone.
"""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.contracts.bus import PAYLOADS, TELEMETRY_PAYLOADS
from libs.messaging.codec import Codec, encode
from tests.contract.messaging.examples import FRAMES, MESSAGES
from tests.kit.paths import PROJECT

GOLDEN = PROJECT / "tests" / "contract" / "golden" / "bus"
FILES = sorted(GOLDEN.glob("*.hex"))
PAGE = PROJECT / "docs" / "reference" / "bus.md"


def latest(name):
    versions = sorted(GOLDEN.glob(f"{name}.*.hex"), key=lambda path: int(path.name.split(".")[1]))
    assert versions, f"no golden file for {name}"
    return versions[-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_golden_file_is_still_read(path):
    """Whatever version it is of, it gives the example, fields added since at their defaults."""
    name, body = path.name.split(".")[0], bytes.fromhex(path.read_text("ascii"))

    if name in MESSAGES:
        topic, expected = MESSAGES[name]
        assert Codec().decode(topic.encode(), body) == (topic, expected)
    else:
        assert msgspec.msgpack.decode(body, type=type(FRAMES[name])) == FRAMES[name]


@pytest.mark.parametrize("name", [*MESSAGES, *FRAMES])
def test_the_latest_golden_file_is_what_we_write(name):
    body = encode(MESSAGES[name][1] if name in MESSAGES else FRAMES[name])

    assert latest(name).read_text("ascii").strip() == body.hex(), f"{name}: its bytes changed; now {body.hex()}"


def test_every_payload_has_an_example():
    """A message that is added brings its golden file."""
    shown = {topic.removesuffix("|").split(".")[0] for topic, _ in MESSAGES.values()}

    assert set(PAYLOADS) - {"sync"} <= shown | {"telemetry"}
    assert {f"telemetry.{kind}" for kind in TELEMETRY_PAYLOADS} <= {
        ".".join(topic.split(".")[:2]) for topic, _ in MESSAGES.values()
    }


@pytest.mark.parametrize("name", [name for name in MESSAGES if name != "heads"])
def test_the_reference_page_shows_the_payload(name):
    """The page's examples are these, so that it cannot drift."""
    payload = msgspec.json.decode(msgspec.json.encode(MESSAGES[name][1].payload))
    shown = [
        json.loads(block.split("```")[0]) for block in PAGE.read_text("utf-8").split("```json\n")[1:] if _one(block)
    ]

    assert payload in shown


def _one(block):
    try:
        json.loads(block.split("```")[0])
    except json.JSONDecodeError:
        return False
    return True
