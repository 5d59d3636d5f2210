"""Read the settings: fleet.toml, the profile's overlay, TRADEFLEET_CONFIG, then TRADEFLEET_<SECTION>_<KEY>."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_origin

import msgspec

from libs.core.errors import Refused
from libs.settings.model import Settings

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("demo", "paper", "live")
_PREFIX = "TRADEFLEET_"
#: Names of the environment that are not settings of a section.
_RESERVED = {"DATA", "CONFIG", "PROFILE", "CRASH_AT", "CRASH_SEEN"}
_SECTIONS: dict[str, type[msgspec.Struct]] = {
    field.name: field.type for field in msgspec.structs.fields(Settings) if field.name not in {"profile", "data_root"}
}


class SettingsError(Refused):
    """A setting is unknown, of the wrong type or impossible; names the file, the key and what was expected."""


def load_settings(*, environment: Mapping[str, str] | None = None, config_directory: Path | None = None) -> Settings:
    """Read and check every setting; raise `SettingsError` at the first that is wrong."""
    env = os.environ if environment is None else environment
    directory = config_directory or PROJECT_ROOT / "config"
    profile = env.get(_PREFIX + "PROFILE", "demo")
    if profile not in PROFILES:
        raise SettingsError(f"environment: TRADEFLEET_PROFILE is {profile!r}; expected one of {', '.join(PROFILES)}")
    values: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    for path in _files(directory, profile, env):
        _merge(values, sources, _read(path), str(path))
    _merge_environment(values, sources, env)
    sections = {name: _section(name, values.get(name, {}), sources) for name in _SECTIONS}
    root = Path(env.get(_PREFIX + "DATA") or sections["data"].root).expanduser()
    data_root = root if root.is_absolute() else PROJECT_ROOT / root
    return Settings(profile=profile, data_root=str(data_root), **sections)


def _files(directory: Path, profile: str, env: Mapping[str, str]) -> list[Path]:
    files = [directory / "fleet.toml"]
    overlay = directory / f"{profile}.toml"
    if overlay.exists():
        files.append(overlay)
    if extra := env.get(_PREFIX + "CONFIG"):
        files.append(Path(extra))
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as e:
        raise SettingsError(f"{path}: no such settings file") from e
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise SettingsError(f"{path}: cannot be read as TOML: {e}") from e


def _merge(values: dict[str, dict[str, Any]], sources: dict[str, str], tree: dict[str, Any], origin: str) -> None:
    for section, keys in tree.items():
        if section not in _SECTIONS:
            raise SettingsError(f"{origin}: [{section}]: unknown section{_hint(section, _SECTIONS)}")
        if not isinstance(keys, dict):
            raise SettingsError(f"{origin}: {section}: expected a [{section}] section, found {keys!r}")
        for key, value in keys.items():
            _put(values, sources, section, key, value, origin)


def _merge_environment(values: dict[str, dict[str, Any]], sources: dict[str, str], env: Mapping[str, str]) -> None:
    for name, text in env.items():
        if not name.startswith(_PREFIX) or name.removeprefix(_PREFIX) in _RESERVED:
            continue
        rest = name.removeprefix(_PREFIX).lower()
        # Sections may hold an underscore: the longest that fits is the one meant.
        section = max((s for s in _SECTIONS if rest.startswith(s + "_")), key=len, default="")
        if not section:
            known = [f"{_PREFIX}{s.upper()}_…" for s in _SECTIONS]
            raise SettingsError(f"environment: {name}: names no section; expected one of {', '.join(known)}")
        key = rest.removeprefix(section + "_")
        _put(values, sources, section, key, text, f"environment: {name}")


@cache
def _fields(section: str) -> dict[str, msgspec.structs.FieldInfo]:
    """What a section may hold; asked for once a key, and dear to find out."""
    return {field.name: field for field in msgspec.structs.fields(_SECTIONS[section])}


def _put(
    values: dict[str, dict[str, Any]], sources: dict[str, str], section: str, key: str, value: Any, origin: str
) -> None:
    fields = _fields(section)
    if key not in fields:
        raise SettingsError(f"{origin}: {section}.{key}: unknown key{_hint(key, fields)}")
    from_text = origin.startswith("environment")
    expected = fields[key].type
    try:
        if from_text and get_origin(expected) is list:
            value = [part.strip() for part in str(value).split(",") if part.strip()]
        checked = msgspec.convert(value, expected, strict=not from_text)
    except msgspec.ValidationError as e:
        raise SettingsError(f"{origin}: {section}.{key}: {value!r} will not do: {e}") from e
    values.setdefault(section, {})[key] = checked
    sources[f"{section}.{key}"] = origin


def _section(name: str, keys: dict[str, Any], sources: dict[str, str]) -> Any:
    try:
        return _SECTIONS[name](**keys)
    except ValueError as e:
        involved = ", ".join(sorted({sources[f"{name}.{key}"] for key in keys})) or "defaults"
        raise SettingsError(f"{involved}: [{name}]: {e}") from e


def _hint(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(known)}"
