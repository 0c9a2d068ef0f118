"""The documentation that is made from the program: its commands, settings, tables and Python interface, and the notebooks.

Pages for MkDocs, built by ``make docs``. `reference.py` writes Markdown out of what the code says, `notebooks.py` executes and
renders notebooks, `hooks.py` hands both to MkDocs. ``python -m manual`` writes the page that is kept, ``docs/schema.md``.
"""
