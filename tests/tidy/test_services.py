"""Every service looks the same from outside: the same files, a page, a program, topics that somebody publishes."""

from __future__ import annotations

from configparser import RawConfigParser
from importlib import import_module
from types import ModuleType

import pytest

from libs.contracts.topics import FAMILIES
from libs.dbaccess.roles import Role, Store
from tests.kit.paths import PROJECT

FILES = ("__init__.py", "__main__.py", "manifest.py", "settings.py", "service.py")
SERVICES = sorted(path.parent.name for path in (PROJECT / "services").glob("*/__init__.py"))


def manifest(service: str) -> ModuleType:
    return import_module(f"services.{service}.manifest")


def supervisor() -> RawConfigParser:
    parser = RawConfigParser(inline_comment_prefixes=None, comment_prefixes=(";",))
    parser.read(PROJECT / "supervisord.conf", "utf-8")
    return parser


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_its_files_and_its_page(service):
    missing = [name for name in FILES if not (PROJECT / "services" / service / name).exists()]
    page = PROJECT / "docs" / "services" / f"{service}.md"

    assert not missing
    assert page.exists(), f"{page.relative_to(PROJECT)} should say what the service does and what to do when it fails"


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_its_program(service):
    # An event listener's stdout belongs to the supervisor's protocol.
    kind, log = ("eventlistener", "stderr_logfile") if service == "watchdog" else ("program", "stdout_logfile")
    program = supervisor()[f"{kind}:{service}"]

    assert program["command"].endswith(f"-m services.{service}")
    assert program["autorestart"] == "unexpected"
    assert program["exitcodes"] == "0,78"
    assert program[log] == f"%(here)s/data/run/{service}.log"


def test_every_program_is_a_service():
    kinds = ("program:", "eventlistener:")
    programs = {name.partition(":")[2] for name in supervisor().sections() if name.startswith(kinds)}

    assert programs == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_manifest_names_itself_and_known_topics_and_stores(service):
    wired = manifest(service)

    assert service == wired.NAME
    assert {family.split(".")[0] for family in (*wired.CONSUMES, *wired.PUBLISHES)} <= set(FAMILIES)
    assert set(wired.OWNS) <= {store.value for store in Store} | {role.value for role in Role}


def test_every_consumed_topic_has_a_publisher():
    published = {family.split(".")[0] for service in SERVICES for family in manifest(service).PUBLISHES}
    orphans = {
        f"{service} consumes {family}"
        for service in SERVICES
        for family in manifest(service).CONSUMES
        if family.split(".")[0] not in published
    }

    assert not orphans


def test_every_store_has_one_owner():
    owners = [owned for service in SERVICES for owned in manifest(service).OWNS]

    assert len(owners) == len(set(owners))
