"""The reference page says what the statements say."""

from __future__ import annotations

from libs.dbaccess.schema import SCHEMAS
from libs.dbaccess.schema.reference import FILES, page
from tests.kit.paths import PROJECT

WRITE_ANEW = (
    'python -c "from pathlib import Path; from libs.dbaccess.schema.reference import page; '
    "Path('docs/reference/stores.md').write_text(page())\""
)


def test_page_of_the_stores_is_current():
    found = (PROJECT / "docs" / "reference" / "stores.md").read_text("utf-8")

    assert found == page(), f"docs/reference/stores.md is not what the schemas say; write it anew: {WRITE_ANEW}"


def test_every_file_has_a_place():
    assert set(FILES) == set(SCHEMAS)
