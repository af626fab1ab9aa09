"""What a copy of the primary has to have of the server that it replaces: its own files.

pg_basebackup brings the primary's configuration where that lies in the data directory: another
host's addresses, paths and certificates, and names that commits would wait for once this one is
promoted.  So the files of the server here go along, and those of the primary go:

    *.conf, certificates, what postgresql.conf includes, *.d     as they are here
    postgresql.auto.conf, recovery.conf                          as here; recovery.py rewrites them
    links (a directory for logs on another disk)                 as they are here
    the same of the primary, where nothing here is called so     removed from the copy

What an interrupted pg_rewind may have overwritten is taken from what it kept aside (rewind.py).
"""
import os
import shutil
import stat
from typing import Dict, Iterator, NamedTuple, Optional

from ahmlib.database import conffile, control, rewind, settings_in_force
from ahmlib.database.rebuild_place import Place
from ahmlib.database.settings import DatabaseSettings

ENDINGS = rewind.KEPT_ENDINGS
DIRECTORY_ENDING = '.d'
OWN = ('recovery.done', 'postmaster.opts')
#: It tells of files that are others by now.
MANIFEST = 'backup_manifest'
OPEN_TO_GROUP = 0o050


class Kept(NamedTuple):
    """A file or link of this server: its bytes and mode, or where the link leads."""

    data: bytes
    mode: int
    link: Optional[str] = None


def carry(settings: DatabaseSettings, place: Place) -> None:
    """Give the copy the files of the server here, which does not change meanwhile."""
    ours = of_this_server(settings, place)
    with control.acting_as(place.user):
        for path in list(_configuration(place.data)) + [MANIFEST]:
            if path not in ours and os.path.lexists(os.path.join(place.data, path)):
                os.unlink(os.path.join(place.data, path))
        for path, kept in ours.items():
            _write(os.path.join(place.data, path), kept)
        os.chmod(place.data, 0o700 | stat.S_IMODE(os.stat(place.data_dir).st_mode) & OPEN_TO_GROUP)


def of_this_server(settings: DatabaseSettings, place: Place) -> Dict[str, Kept]:
    """Return {path inside the data directory: Kept} of the server here."""
    here = place.data_dir
    included = settings_in_force.on_file(settings).paths
    with control.acting_as(place.user):
        paths = set(_configuration(here)) | set(_links(here))
        for path in included:
            inside = os.path.relpath(os.path.realpath(os.path.dirname(path)), here)
            if not inside.startswith(os.pardir):
                paths.add(os.path.normpath(os.path.join(inside, os.path.basename(path))))
        found = {path: _read(os.path.join(here, path)) for path in sorted(paths)}
    for path, (text, mode) in rewind.kept_aside(settings).items():
        found[path] = Kept(text.encode('utf-8', 'surrogateescape'), mode)
    return found


def _configuration(directory: str) -> Iterator[str]:
    """The files of a data directory that configure its server, as paths inside it."""
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if name.endswith(DIRECTORY_ENDING) and os.path.isdir(path) and not os.path.islink(path):
            for below, _, names in os.walk(path):
                for each in sorted(names):
                    yield os.path.relpath(os.path.join(below, each), directory)
        elif name.endswith(ENDINGS + OWN) and not os.path.isdir(path):
            yield name


def _links(directory: str) -> Iterator[str]:
    return (name for name in sorted(os.listdir(directory))
            if os.path.islink(os.path.join(directory, name)))


def _read(path: str) -> Kept:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return Kept(b'', 0, os.readlink(path))
    with open(path, 'rb') as file:
        return Kept(file.read(), stat.S_IMODE(mode))


def _write(path: str, kept: Kept) -> None:
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)             # the primary's own, where there is a link here
    elif os.path.lexists(path):
        os.unlink(path)
    if kept.link is not None:
        os.symlink(kept.link, path)
        conffile.sync_directory(os.path.dirname(path))
        return
    conffile.replace(path, kept.data.decode('utf-8', 'surrogateescape'))
    os.chmod(path, kept.mode)
