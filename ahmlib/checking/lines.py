"""Which line of which file to change, as it is to read then."""

from typing import TYPE_CHECKING

from ahmlib.database.survey import Shown, Survey

if TYPE_CHECKING:
    from ahmlib.config.loader import Config

AUTO_CONF = 'postgresql.auto.conf'


def of_config(config: 'Config', name: str, text: str) -> str:
    """A line of ahm_config.yml: the one that sets the parameter `name`, or the file for a new one.

    `text` is what to do, with the name in it.
    """
    if name.lower() in config.given:
        return '%s:%d: %s' % (config.path, config.line_of(name), text)
    return '%s: %s' % (config.path, text)


def of_setting(server: Survey, name: str, value: str, of_host: str = '') -> str:
    """A line of a server's configuration that sets `name` to `value`, and what makes it count."""
    shown = server.settings.get(name, Shown(''))
    written = '%s = %s' % (name, value)
    then = 'restart' if shown.context == 'postmaster' else 'reload'
    if shown.file.endswith('/' + AUTO_CONF):
        text = 'ALTER SYSTEM SET %s; (it is in %s)' % (written, shown.file)
    elif shown.file:
        text = '%s%s: %s' % (shown.file, shown.line and ':%d' % shown.line or '', written)
    else:
        config_file = server.settings.get('config_file', Shown(''))
        text = '%s: %s' % (config_file.value or 'postgresql.conf', written)
    return '%s%s, then %s that server' % (of_host and 'on %s: ' % of_host, text, then)
