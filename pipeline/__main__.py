"""``python -m pipeline`` and the console script ``takeout-index``.

Workers import this module by the name of the program that forks them, hence nothing is imported at the top.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    try:
        from pipeline.cli import run
    except KeyboardInterrupt:
        raise SystemExit(130) from None

    run()


if __name__ == "__main__":
    main()
