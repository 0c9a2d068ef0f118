"""``python -m pipeline`` and the console script ``takeout-index``.

Workers import this module by the name of the program that forks them, hence nothing is imported at the top.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from pipeline.cli import run

    run()


if __name__ == "__main__":
    main()
