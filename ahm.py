#!/usr/bin/env python3
"""The daemon's command: `ahm.py [-f CONFIG_FILE] [-d] [-n] [start|stop|restart|reload]`."""

import sys

from ahmlib import needs

needs.demand(needs.DAEMON)

from ahmlib.main import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
