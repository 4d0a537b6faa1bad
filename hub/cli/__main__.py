"""`python -m hub.cli`: the same as `tulay`, for a checkout that is not installed."""

from hub.cli.app import main

main()
