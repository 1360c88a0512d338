"""`python -m stream_rec` is `stream-rec`, where the script is not on the path."""

import sys

from stream_rec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
