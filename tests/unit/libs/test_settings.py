"""Settings: every one has a default in the file, and a wrong one is refused by file, key and expectation."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from libs.settings import PROJECT_ROOT, SettingsError, load_settings
from libs.settings.load import PROFILES
from libs.settings.model import Settings

SECTIONS = {
    field.name: field.type for field in msgspec.structs.fields(Settings) if field.default is not msgspec.NODEFAULT
}


@pytest.fixture
def config(tmp_path) -> Path:
    """A config directory with an empty fleet.toml to write into."""
    (tmp_path / "fleet.toml").touch()
    return tmp_path


def test_file_holds_every_setting_with_its_default():
    written = tomllib.loads((PROJECT_ROOT / "config" / "fleet.toml").read_text("utf-8"))
    # By way of JSON, because TOML too has lists only, no tuples.
    defaults = {name: msgspec.json.decode(msgspec.json.encode(section())) for name, section in SECTIONS.items()}

    assert written == defaults


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_load(profile):
    assert load_settings(environment={"TRADEFLEET_PROFILE": profile}).profile == profile


def test_layers_win_in_order(config):
    (config / "fleet.toml").write_text("[live]\nflush_interval_ms = 100\nmerge_minute_segments_min = 7\n")
    (config / "demo.toml").write_text("[live]\nflush_interval_ms = 200\n")
    extra = config / "extra.toml"
    extra.write_text("[live]\nflush_interval_ms = 300\n")
    layers = [
        {},
        {"TRADEFLEET_CONFIG": str(extra)},
        {"TRADEFLEET_CONFIG": str(extra), "TRADEFLEET_LIVE_FLUSH_INTERVAL_MS": "400"},
    ]
    found = [load_settings(environment=environment, config_directory=config).live for environment in layers]

    assert [live.flush_interval_ms for live in found] == [200, 300, 400]
    assert {live.merge_minute_segments_min for live in found} == {7}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[live]\nflush_intervall_ms = 1\n",
            ["fleet.toml", "live.flush_intervall_ms", "unknown key", "flush_interval_ms"],
        ),
        ("[liv]\nx = 1\n", ["fleet.toml", "[liv]", "unknown section", "live"]),
        ("[live]\nflush_interval_ms = '1s'\n", ["fleet.toml", "live.flush_interval_ms", "'1s'", "int"]),
        ("[live]\nflush_interval_ms = 0\n", ["fleet.toml", "live.flush_interval_ms", ">= 10"]),
        ("[log]\nlevel = 'loud'\n", ["fleet.toml", "log.level", "loud", "debug|info|warning|error"]),
        ("[health]\ndisk_free_warning_gib = 1\n", ["fleet.toml", "[health]", "disk_free_warning_gib (1)", "below"]),
        ("live = 3\n", ["fleet.toml", "live", "expected a [live] section"]),
        ("[live\n", ["fleet.toml", "cannot be read as TOML"]),
    ],
)
def test_wrong_setting_is_refused_with_file_key_and_expectation(config, text, said):
    (config / "fleet.toml").write_text(text)

    with pytest.raises(SettingsError) as refusal:
        load_settings(environment={}, config_directory=config)

    assert [word for word in said if word not in str(refusal.value)] == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRADEFLEET_LIVE_FLUSH_INTERVAL_MS", "soon", "TRADEFLEET_LIVE_FLUSH_INTERVAL_MS"),
        ("TRADEFLEET_LIVE_FLUSH", "1", "unknown key"),
        ("TRADEFLEET_AIP_PORT", "1", "names no section"),
        ("TRADEFLEET_PROFILE", "prod", "demo, paper, live"),
        ("TRADEFLEET_CONFIG", "/nowhere/x.toml", "no such settings file"),
    ],
)
def test_wrong_environment_is_refused(name, value, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(environment={name: value})


def test_data_root_comes_from_the_environment(tmp_path):
    assert load_settings(environment={"TRADEFLEET_DATA": str(tmp_path)}).data_root == str(tmp_path)
    assert load_settings(environment={}).data_root == str(PROJECT_ROOT / "data")
