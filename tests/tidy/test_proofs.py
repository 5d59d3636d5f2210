"""What the engine promises about money has proofs, and they are there."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.kit.paths import PROJECT

PAGE = PROJECT / "docs" / "reference" / "evidence.md"


def rules() -> list[tuple[int, list[tuple[str, str]]]]:
    """Each rule of the page: its number, and the tests it names as (file, function)."""
    rows = re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [(int(number), re.findall(r"`([^`:]+)::([^`]+)`", proofs)) for number, proofs in rows]


@cache
def functions_of(path: str) -> frozenset[str]:
    file = PROJECT / "tests" / path
    tree = ast.parse(file.read_text("utf-8")) if file.exists() else ast.Module([], [])
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef))


def test_every_rule_has_a_proof_that_is_there():
    found = rules()
    missing = [f"{number}: {path}::{name}" for number, proofs in found for path, name in proofs
               if name not in functions_of(path)]  # fmt: skip

    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert len(found) > 50
    assert [number for number, proofs in found if not proofs] == []
    assert missing == []


def test_what_was_written_as_a_proof_is_on_the_page():
    """What was written to prove a rule is on the page: nobody weakens it as a test that nothing needs."""
    named = {proof for _, proofs in rules() for proof in proofs}
    own = ("test_evidence.py", "test_kill_switch.py", "test_slices.py")
    written = {
        (f"integration/execution_engine/{file}", name)
        for file in own
        for name in functions_of(f"integration/execution_engine/{file}")
        if name.startswith("test_")
    }

    assert written - named == set()
