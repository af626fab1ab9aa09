"""What a parameter's value may be.

A `Kind` pairs a name shown to people with two functions: `parse` turns what was written in the
file into the value, or raises ValueError whose text says what to do; `write` turns the value back
into YAML.  Neither knows a parameter by name.
"""

import ipaddress
import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple, Tuple

from ahmlib.config import libpq
from ahmlib.config.document import TEXTUAL_TAGS, Written
from ahmlib.config.problems import show
from ahmlib.database import conninfo
from ahmlib.network.addresses import canonical

if TYPE_CHECKING:
    from ahmlib.config.schema import Parameter

WHOLE = re.compile(r'-?(0|[1-9][0-9]{0,19})')
DECIMAL = re.compile(r'-?((0|[1-9][0-9]{0,14})(\.[0-9]{0,9})?|\.[0-9]{1,9})')
TRUE, FALSE = ('true', 'yes', 'on'), ('false', 'no', 'off')
NODE_NAME = re.compile(r"""[^\s'"\\,=]{1,63}""")
PREFIX_ESCAPE = re.compile(r'%(.?)')


class Kind(NamedTuple):
    """`parse(written, parameter)` gives the value, `write(value)` the YAML text of it."""

    name: str
    parse: Callable[[Written, 'Parameter'], Any]
    write: Callable[[Any], str]


def expected(parameter: 'Parameter') -> str:
    """What a parameter's value has to be, in words: "a whole number from 0 to 65535"."""
    text = parameter.kind.name
    if parameter.choices:
        text += ' ' + ', '.join(parameter.choices)
    if parameter.minimum is not None and parameter.maximum is not None:
        text += ' from %s to %s' % (number(parameter.minimum), number(parameter.maximum))
    return text


def number(value: float) -> str:
    """A number as a person writes it: 8, not 8.0; 0.25; never with an exponent."""
    if isinstance(value, int):
        return '%d' % value
    return ('%.9f' % value).rstrip('0').rstrip('.')


def _characters(written: Written) -> str:
    """What was written, which must be a scalar without a foreign tag."""
    if written.text is None:
        raise ValueError('write a single value')
    if written.tag not in TEXTUAL_TAGS | {'bool', 'null'}:
        raise ValueError('take the tag away')
    return written.text


def _plain(written: Written) -> str:
    text = _characters(written)
    if not written.plain:
        raise ValueError('take the quotes away' if text.strip() else 'set a value')
    return text


def _words(written: Written) -> str:
    """What was written, where a bare true or off would be a slip."""
    text = _characters(written)
    if written.tag == 'bool' and written.plain:
        raise ValueError('put it in quotes if the word itself is meant')
    return text


def _readable(text: str, also: str = '') -> str:
    if not all(character.isprintable() or character in also for character in text):
        raise ValueError('it holds an invisible character (a line break, a no-break space ...): '
                         'type it again')
    return text


def parse_text(written: Written, parameter: 'Parameter') -> str:
    """Any printable characters, without blanks around them."""
    del parameter
    return _readable(_words(written).strip())


def parse_integer(written: Written, parameter: 'Parameter') -> int:
    """A decimal number.  Octal, hexadecimal, 1_000 and 1:30 are refused, not guessed at."""
    del parameter
    text = _plain(written)
    if not WHOLE.fullmatch(text):
        raise ValueError('write decimal digits only, without a leading zero or a unit')
    return int(text)


def parse_seconds(written: Written, parameter: 'Parameter') -> float:
    """A decimal number, fractions allowed, as a float."""
    del parameter
    text = _plain(written)
    if not DECIMAL.fullmatch(text):
        raise ValueError('write a plain decimal number of seconds such as 5 or 0.5, without a '
                         'unit')
    return float(text)


def parse_boolean(written: Written, parameter: 'Parameter') -> bool:
    """YAML's words for true and false, without quotes."""
    del parameter
    word = _plain(written).lower()
    if word not in TRUE + FALSE:
        raise ValueError('write true or false')
    return word in TRUE


def parse_choice(written: Written, parameter: 'Parameter') -> str:
    """One of the parameter's choices, in any case.  YAML's `off` is the word here."""
    word = _characters(written).strip().lower()
    for choice in parameter.choices:
        if word == choice.lower():
            return choice
    raise ValueError('write one of these words')


def parse_node_name(written: Written, parameter: 'Parameter') -> str:
    """A name that is a PostgreSQL application_name and a word in a table as well."""
    name = parse_text(written, parameter)
    if not NODE_NAME.fullmatch(name) or any(ord(character) > 126 for character in name):
        raise ValueError('choose such a name, and give it as application_name too')
    return name


def parse_file_name(written: Written, parameter: 'Parameter') -> str:
    """The name of a file, without a directory."""
    name = parse_text(written, parameter)
    if '/' in name or name in ('.', '..'):
        raise ValueError('leave the directory out: it lies in data_dir')
    return name


def parse_log_prefix(written: Written, parameter: 'Parameter') -> str:
    """Text with %l, %p, %t, %n and %%; blanks at its end count."""
    del parameter
    text = _readable(_words(written))
    for escape in PREFIX_ESCAPE.findall(text):
        if escape not in ('l', 'p', 't', 'n', '%'):
            raise ValueError('write %%%% for a percent sign; %s is unknown' % ('%' + escape))
    return text


def parse_conninfo(written: Written, parameter: 'Parameter') -> str:
    """A libpq connection string, as text."""
    text = parse_text(written, parameter)
    if conninfo.is_uri(text) and ' ' in text:
        raise ValueError('write %20 for a blank in a URI')      # libpq 18 refuses it, 17 does not
    libpq.check_keywords([keyword for keyword, _ in conninfo.pairs(text)])
    return text


def parse_conninfo_options(written: Written, parameter: 'Parameter') -> str:
    """What is added to a connection string that AHM writes, as text."""
    text = parse_text(written, parameter)
    if conninfo.is_uri(text):
        raise ValueError('write keyword=value pairs, no URI')
    libpq.check_options([keyword for keyword, _ in conninfo.pairs(text)])
    return text


def parse_command(written: Written, parameter: 'Parameter') -> Tuple[str, ...]:
    """A command line, split into words as a shell splits them, as a tuple.  No shell runs it."""
    del parameter
    return _split(_readable(_words(written), also='\n\t'))


def parse_vip_command(written: Written, parameter: 'Parameter') -> Tuple[str, ...]:
    """A command line in which $_IP_$ stands for the VIP; slips of the printed manual are mended."""
    del parameter
    text = _readable(_words(written), also='\n\t')
    text = re.sub(r'\$_IP_\s*\$', '$_IP_$', text)
    text = re.sub(r'\$_IP_\$\s+/(?=[0-9])', '$_IP_$/', text)
    if re.search(r'\$_?\{?IP|_IP_', text.replace('$_IP_$', ''), re.IGNORECASE):
        raise ValueError('write the place of the address exactly as $_IP_$')
    return _split(text)


def _split(text: str) -> Tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError('mend the quoting (%s)' % str(error).lower())
    if not words or not words[0]:
        raise ValueError('name the program to run')
    return words


def parse_address(written: Written, parameter: 'Parameter') -> str:
    """An IP address of one host, canonical."""
    return _host_address(parse_text(written, parameter))


def parse_addresses(written: Written, parameter: 'Parameter') -> Tuple[str, ...]:
    """IP addresses in a YAML list, or separated by commas or blanks, as a tuple."""
    if written.items is not None:
        texts = [parse_text(item, parameter) for item in written.items]
    else:
        texts = [text for text in re.split(r'[,\s]+', parse_text(written, parameter)) if text]
    addresses = [_one_of_them(text) if len(texts) > 1 else _host_address(text) for text in texts]
    return tuple(sorted(set(addresses), key=addresses.index))


def _one_of_them(text: str) -> str:
    try:
        return _host_address(text)
    except ValueError as error:
        raise ValueError('mend %s in it: %s' % (show(text), error))


def parse_multicast(written: Written, parameter: 'Parameter') -> str:
    """A multicast group's address, canonical."""
    address = _address(parse_text(written, parameter))
    if not ipaddress.ip_address(address).is_multicast:
        raise ValueError('choose one out of 239.0.0.0/8 or ff00::/8')
    return address


def _address(text: str) -> str:
    try:
        return canonical(text)
    except ValueError:
        raise ValueError('write the literal address alone, without a host name, prefix length, '
                         'zone or leading zeros')


def _host_address(text: str) -> str:
    address = _address(text)
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast or address == '255.255.255.255':
        raise ValueError('write the address of one host')
    return address


def write_text(value: str) -> str:
    """Text in single quotes, or in double quotes where it has line breaks or tabs."""
    if '\n' in value or '\t' in value:
        return json.dumps(value, ensure_ascii=False)
    return "'%s'" % value.replace("'", "''")


def write_command(words: Iterable[str]) -> str:
    """A command's words as one line that splits into them again."""
    return write_text(' '.join(_shell_word(word) for word in words))


def _shell_word(word: str) -> str:
    """$_IP_$ is no shell variable here and reads better without quotes."""
    return word if re.fullmatch(r'[\w@%+=:,./$-]+', word, re.ASCII) else shlex.quote(word)


def write_boolean(value: bool) -> str:
    """true or false."""
    return 'true' if value else 'false'


def write_addresses(addresses: Iterable[str]) -> str:
    """A YAML list on one line."""
    return '[%s]' % ', '.join(write_text(address) for address in addresses)


TEXT = Kind('text', parse_text, write_text)
INTEGER = Kind('a whole number', parse_integer, number)
SECONDS = Kind('a number of seconds', parse_seconds, number)
BOOLEAN = Kind('true or false', parse_boolean, write_boolean)
CHOICE = Kind('one of', parse_choice, write_text)
NODE_NAME_KIND = Kind('a name of 1 to 63 ASCII characters without blanks, quotes, commas, equal '
                      'signs or backslashes', parse_node_name, write_text)
FILE_NAME = Kind('a file name', parse_file_name, write_text)
PATH = Kind('a path', parse_text, write_text)
LOG_PREFIX = Kind('text with %l, %p, %t, %n or %%', parse_log_prefix, write_text)
CONNINFO = Kind('a libpq connection string', parse_conninfo, write_text)
CONNINFO_OPTIONS = Kind('options of a libpq connection string', parse_conninfo_options,
                        write_text)
COMMAND = Kind('a command line', parse_command, write_command)
VIP_COMMAND = Kind('a command line, $_IP_$ in place of the address', parse_vip_command,
                   write_command)
ADDRESS = Kind('an IP address', parse_address, write_text)
ADDRESSES = Kind('a list of IP addresses', parse_addresses, write_addresses)
MULTICAST = Kind('a multicast address', parse_multicast, write_text)
