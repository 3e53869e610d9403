"""`python -m seedvc_live` is the command `seedvc-live`."""

from seedvc_live.cli import main

main()
