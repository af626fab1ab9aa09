"""Takes the pictures of the live page that README.md and README.ko.md show: `make screenshots`.

It is the page itself, with what a daemon says of a simulated cluster after a failover, in Debian's
chromium.  Fonts and browsers differ from host to host, so nothing compares the bytes.

    python -m tests.browser.screens [DIRECTORY]
"""
import os
import struct
import sys
import zlib

from . import samples
from .chromium import LACK, Chromium
from .stub import Stub

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: File -> (languages, light or dark).
PICTURES = {'live-page.png': ('en', 'light'), 'live-page.ko.png': ('ko', 'dark')}
WIDTH, HEIGHT = 1240, 696


def take(directory):
    """Write all of them into a directory."""
    world, new = samples.failed_over()
    stub = Stub(samples.status_of(world, new), samples.events_of(world, new))
    browser = Chromium()
    try:
        for name, (languages, scheme) in PICTURES.items():
            page = browser.page(languages)
            page.looks(WIDTH, HEIGHT, scheme)
            page.call('Emulation.setTimezoneOverride', timezoneId='UTC')
            page.go(stub.url + '/ui')
            page.wait('document.querySelectorAll("#events li").length > 3')
            # The bar moves to where the lease is; it is looked at when it is there.
            page.wait('document.getAnimations().length === 0')
            page.picture(os.path.join(directory, name), whole=False)
            shrink(os.path.join(directory, name))
            page.close()
    finally:
        browser.close()
        stub.close()


def shrink(path):
    """Compress a PNG as far as that goes; the browser takes little time for it."""
    with open(path, 'rb') as file:
        data = file.read()
    parts, pixels, place = [data[:8]], b'', 8
    while place < len(data):
        size, = struct.unpack('>I', data[place:place + 4])
        chunk = data[place:place + 12 + size]
        if chunk[4:8] == b'IDAT':
            pixels += chunk[8:-4]
        else:
            parts.append(chunk)
        place += 12 + size
    packed = b'IDAT' + zlib.compress(zlib.decompress(pixels), 9)
    parts.insert(-1, struct.pack('>I', len(packed) - 4) + packed
                 + struct.pack('>I', zlib.crc32(packed)))
    with open(path, 'wb') as file:
        file.write(b''.join(parts))


def main(argv):
    """Take them; the exit code."""
    if LACK:
        sys.stderr.write('no pictures were taken: %s\n' % LACK)
        return 1
    take((argv + [os.path.join(ROOT, 'docs')])[0])
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
