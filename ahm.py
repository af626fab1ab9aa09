#!/usr/bin/env python3
"""The daemon's command: `ahm.py [-f CONFIG_FILE] [-d] [-n] [start|stop|restart|reload]`."""

import sys

from ahmlib.main import main

if __name__ == '__main__':
    sys.exit(main())
