"""Every setting: frozen structs over config/*.toml; unknown keys, wrong types and impossible values are refused."""

from libs.settings.load import PROJECT_ROOT, SettingsError, load_settings
from libs.settings.model import Settings

__all__ = ["PROJECT_ROOT", "Settings", "SettingsError", "load_settings"]
