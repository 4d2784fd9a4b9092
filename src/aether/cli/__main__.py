import sys

from aether.cli.main import main

sys.exit(main())
