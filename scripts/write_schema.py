"""Renew what is generated from the typed model of a study file (for maintainers)."""

from pathlib import Path

from alliance.study.reference import schema_text, with_key_tables

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/study.schema.json"
README = ROOT / "config/README.md"

if __name__ == "__main__":
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    README.write_text(with_key_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
