"""``python -m tfvae.cli``."""

import sys

from tfvae.cli._main import main

if __name__ == "__main__":
    sys.exit(main())
