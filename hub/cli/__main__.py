"""Starts `tulay`, also as `python -m hub.cli` for a checkout that is not installed.

Loading code makes a hundred thousand objects and no garbage, so the collector rests meanwhile.
"""

import gc


def main() -> None:
    """Loads the command line and runs it."""
    gc.disable()
    from hub.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
