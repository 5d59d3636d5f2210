"""Strategies are found by id, and a user's file that is broken is named with its line while the others load."""

from __future__ import annotations

import textwrap

import pytest

from libs.core.errors import Refused
from libs.strategies import BaseStrategy, registry
from libs.strategies.interface import BadParameters, describe_parameters, id_of, parameters_of, parameters_text
from libs.strategies.sma_cross import SmaCross
from libs.strategies.user import load_directory
from tests.kit.processes import run_code

GOOD = """
from libs.strategies import BaseStrategy, register

@register
class {name}(BaseStrategy):
    def process_bar(self, bar, context):
        return context.enter_long()
"""


@pytest.mark.parametrize("name", registry.SHIPPED)
def test_shipped_strategy_is_found_under_its_own_id(name):
    kind = registry.find(name)

    assert id_of(kind) == name
    assert kind.purpose.endswith(".")
    assert describe_parameters(kind)


def test_register_takes_a_class_or_an_id():
    @registry.register
    class PlainThing(BaseStrategy):
        pass

    @registry.register("named_thing")
    class Named(BaseStrategy):
        pass

    assert registry.find("plain_thing") is PlainThing
    assert registry.find("named_thing") is Named
    assert registry.names()[-2:] == ["named_thing", "plain_thing"]


def test_taken_id_is_refused():
    class Impostor(BaseStrategy):
        strategy_id = "sma_cross"

    with pytest.raises(Refused, match=r"'sma_cross'.*is taken by libs.strategies.sma_cross.SmaCross"):
        registry.register(Impostor)
    with pytest.raises(Refused, match="does not inherit from BaseStrategy"):
        registry.register(object)
    with pytest.raises(Refused, match="no strategy 'sma_crosss'; there are sma_cross, ema_adx"):
        registry.find("sma_crosss")


def test_parameters_are_read_for_sweeps_and_checked():
    """Text is converted, because the command line and forms give text."""
    fast = next(each for each in describe_parameters(SmaCross) if each.name == "fast")

    assert (fast.kind, fast.default, fast.minimum, fast.maximum) == ("int", 10, 2, 500)
    assert parameters_of(SmaCross, {"fast": "7", "allow_short": "false"}).fast == 7
    with pytest.raises(BadParameters, match=r"sma_cross.*Expected .int. >= 2.*fast"):
        parameters_of(SmaCross, {"fast": 1})


def test_parameters_are_spelled_one_way():
    """They are part of signal ids: order and spelling of what was given must not matter."""
    assert parameters_text(parameters_of(SmaCross, {"slow": 40, "fast": "5"})) == parameters_text(
        parameters_of(SmaCross, {"fast": 5, "slow": "40"})
    )


def test_broken_files_are_named_and_the_others_load(tmp_path):
    files = {
        "a_good.py": GOOD.format(name="GoodOne"),
        "b_syntax.py": "x = 1\ndef broken(:\n",
        "c_raises.py": "import math\n\nvalue = math.nosuch\n",
        "d_import.py": "from libs.strategies import BaseStrategy\nimport nonesuch_module\n",
        "e_empty.py": "x = 1\n",
        "f_taken.py": GOOD.format(name="SmaCross").replace("@register", "@register('sma_cross')"),
        "g_half.py": GOOD.format(name="HalfDone") + "\nraise RuntimeError('after the class')\n",
        "h_exit.py": "raise SystemExit(3)\n",
        "_helper.py": "raise RuntimeError('never loaded')\n",
        "z_good.py": GOOD.format(name="GoodTwo"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    loaded = load_directory(tmp_path)
    broken = {problem.path.rpartition("/")[2]: problem for problem in loaded.broken}

    assert sorted(loaded.strategies) == ["good_one", "good_two"]
    assert sorted(broken) == [name for name in sorted(files) if name[0] in "bcdefgh"]
    assert broken["b_syntax.py"].line == 2
    assert "SyntaxError" in broken["b_syntax.py"].reason
    assert (broken["c_raises.py"].line, broken["d_import.py"].line) == (3, 2)
    assert "nosuch" in broken["c_raises.py"].reason
    assert "no class here inherits from BaseStrategy" in broken["e_empty.py"].reason
    assert "taken by libs.strategies.sma_cross.SmaCross" in broken["f_taken.py"].reason
    assert str(broken["g_half.py"]) == f"{tmp_path}/g_half.py:9: RuntimeError: after the class"
    assert "half_done" not in registry.names()


def test_file_may_be_loaded_again_after_an_edit(tmp_path):
    path = tmp_path / "idea.py"
    path.write_text(GOOD.format(name="Idea"))
    load_directory(tmp_path)
    first = registry.find("idea")
    path.write_text(GOOD.format(name="Idea").replace("enter_long", "enter_short"))

    assert not load_directory(tmp_path).broken
    assert registry.find("idea") is not first


def test_directory_that_is_not_there_holds_nothing(tmp_path):
    assert load_directory(tmp_path / "none") == ({}, ())


def test_importing_the_registry_imports_no_strategy():
    """`fleet --help` and services that run none should not pay for nine."""
    found = run_code(
        """
        import sys
        import libs.strategies
        shipped = [name for name in sys.modules if name.startswith("libs.strategies.")]
        print("numba" in sys.modules, "libs.strategies.sma_cross" in shipped)
        """
    )

    assert found.stdout.split() == ["False", "False"], found.stderr
