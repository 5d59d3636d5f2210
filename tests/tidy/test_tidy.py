"""The product keeps the rules, and each rule catches what it is for."""

from __future__ import annotations

import pytest

from libs.core.faults import POINTS
from tests.kit.paths import PROJECT, product_files
from tests.tidy import rules


@pytest.fixture(scope="module")
def files():
    return [rules.read(path, PROJECT) for path in product_files()]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_product_keeps(files, rule):
    problems = [problem for file in files for problem in rule(file)]

    assert not problems, "\n".join(problems)


VIOLATIONS = {
    rules.module_docstring: "x = 1\n",
    rules.module_length: '"""Doc."""\n' + "x = 1\n" * (rules.MODULE_LINES_MAX + 1),
    rules.function_length: "def f():\n" + "    x = 1\n" * (rules.FUNCTION_LINES_MAX + 1),
    rules.no_print: "def f():\n    print('here')\n",
    rules.no_silent_except: "try:\n    x = 1\nexcept OSError:\n    pass\n",
    rules.one_clock: "import time\ndef f():\n    return time.time()\n",
    rules.nothing_opened_at_import: "import sqlite3\nconnection = sqlite3.connect('x')\n",
    rules.stores_opened_in_one_place: "import duckdb\ndef f():\n    return duckdb.connect('x')\n",
    rules.no_pickle: "from pickle import loads\n",
    rules.pure_core: "import random\ndef f():\n    return random.random()\n",
    rules.crash_points: "def f(name):\n    crash_point(name)\n",
    rules.approvals_come_from_the_gate: "def f(request):\n    return Approved(request, 0, None)\n",
}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_violation_is_reported(rule):
    """A rule that cannot fail is no rule."""
    path = "libs/strategies/thing.py" if rule is rules.pure_core else "libs/example/thing.py"
    file = rules.parse(path, VIOLATIONS[rule])

    assert list(rule(file))


@pytest.mark.parametrize(
    "text",
    [
        "import threading\n",
        "from socket import create_connection\n",
        "from random import choice\n",
        "import random\ndef f():\n    return random.Random()\n",
        "import numpy as np\ndef f():\n    return np.random.default_rng()\n",
    ],
)
def test_whatever_decides_on_trades_is_pure(text):
    """The same code outside those packages is none of this rule's business."""
    assert list(rules.pure_core(rules.parse("libs/trading/thing.py", text)))
    assert not list(rules.pure_core(rules.parse("libs/feeds/thing.py", text)))


def test_exceptions_are_still_needed(files):
    """A listed exception whose file no longer needs it is deleted."""
    sizes = {file.path: file.text.count("\n") for file in files}
    stale = [path for path in rules.EXCEPTIONS if "::" not in path and sizes.get(path, 0) <= rules.MODULE_LINES_MAX]

    assert not stale


def test_crash_points_in_the_code_are_the_registered_ones(files):
    """I2, C3, F6: the kill matrices kill at every name in the registry, and only there."""
    used = set().union(*(rules.crash_point_names(file) for file in files))

    assert used == set(POINTS)
