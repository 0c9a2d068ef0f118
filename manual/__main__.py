"""``python -m manual``: write ``docs/schema.md``, which is kept so that it can be read where the source is."""

from pathlib import Path

from manual.reference import schema_page

if __name__ == "__main__":
    Path("docs/schema.md").write_text(schema_page(), "utf-8")
