"""From the file to a Config: load() reads, completes and checks all of it.

Nothing stops at the first mistake.  Each step hands on what it could read and the problems it met;
only at the end is there a Config or a ConfigError with every problem.  `parse` is the part that
needs neither nodes.conf nor the host; `load` adds both.
"""

import difflib
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set, Tuple, Union

from ahmlib.config import document, host, nodes_file
from ahmlib.config.defaults import Environ, Values, initial, resolve
from ahmlib.config.document import Entry, Written
from ahmlib.config.kinds import expected, number
from ahmlib.config.place import absolute
from ahmlib.config.problems import (
    ConfigError,
    Problem,
    decode,
    problem,
    read_bytes,
    show,
    show_path,
    without_password,
)
from ahmlib.config.rules import Rule
from ahmlib.config.schema import ADVICE, BY_NAME, PARAMETERS, REQUIRED, RULES, Parameter

__all__ = ['Config', 'ConfigError', 'differences', 'load', 'parse']

IsLocal = Callable[[str], bool]

NODES_FILENAME = 'nodes.conf'


class Config:
    """A configuration: one attribute a parameter, named in lower case, defaults filled in.

    Commands are tuples of words, seconds are floats, what is not set is None (a list: empty).
    Besides: `path` of the file; `nodes`, a NodeList (None after `parse`); `warnings`, a list of
    str, and `advice`, those of them that no monitor has to be told of; `given`, the frozenset of
    attribute names that the file sets.
    """

    def __init__(self, values: Values, path: str, lines: Dict[str, int]) -> None:
        self.__dict__.update(values)
        self.path = path
        self.given = frozenset(lines)
        self.nodes: Optional[nodes_file.NodeList] = None
        self.warnings: List[str] = []
        self.advice: List[str] = []
        self._lines = lines

    nodes_filename: Optional[str]

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any:
            """What the table of parameters names; mypy knows no more of it."""

    def line_of(self, name: str) -> int:
        """The line that sets the parameter `name`; 1 where none does."""
        return self._lines.get(name.lower(), 1)

    def __repr__(self) -> str:
        return 'Config(%s)' % self.path


def load(path: str, environ: Optional[Environ] = None, working_directory: Optional[str] = None,
         is_local: Optional[IsLocal] = None, check_host: bool = True) -> Config:
    """The Config of the file `path` with its nodes, completely checked.

    `environ` and `working_directory` (for nodes.conf and a relative `path`) are this process's
    unless given; a daemon that reloads after it detached gives those of its start.
    `is_local(address)` says which addresses are this host's.  With `check_host` false the checks
    of directories and programs are left out, for who only wants to read the values.

    Raises ConfigError with every mistake: FILE:LINE: key: found X, expected Y; what to do.
    """
    environ = os.environ if environ is None else environ
    directory = working_directory or os.getcwd()
    path = absolute(path, directory)
    source = read_bytes(path, 'the configuration file')
    config, broken, problems = _examine(source, path, environ)
    problems += _find_nodes(config, broken, directory, environ, is_local)
    problems += _broken_rules(config, broken, needs_nodes=True)
    if check_host:
        problems += host.check_host(config, skip=broken)
    if problems:
        raise ConfigError(problems)
    config.warnings = advice(config) + (host.advise_host(config) if check_host else [])
    config.advice = advice(config, pure=True)
    return config


def parse(source: Union[str, bytes], path: str, environ: Optional[Environ] = None) -> Config:
    """The Config in `source` (str or bytes), without its nodes and without looking at the host.

    The only thing that is looked up is the directory of ag_ctl or pg_ctl on PATH, where neither
    db_bin_dir nor AGHOME says it.  `path` is for messages and relative paths.
    """
    environ = os.environ if environ is None else environ
    config, _, problems = _examine(source, path, environ)
    if problems:
        raise ConfigError(problems)
    config.warnings = advice(config)
    config.advice = advice(config, pure=True)
    return config


def advice(config: Config, pure: bool = False) -> List[str]:
    """What is legal and unwise in a Config, one line each; `pure`: only what is just advice."""
    return ['%s: %s; %s' % (subject(config, rule), rule.text, rule.remedy)
            for rule in ADVICE if applies(config, rule) and not rule.is_met(config)
            and (rule.is_advice or not pure)]


def applies(config: Config, rule: Rule) -> bool:
    """Whether a Rule can be asked of a Config: some need the nodes."""
    return config.nodes is not None or not rule.needs_nodes


def subject(config: Config, rule: Rule) -> str:
    """The parameter of a Rule to look at: the first that the file sets."""
    return next((key for key in rule.keys if key.lower() in config.given), rule.keys[0])


def differences(old: Config, new: Config) -> Tuple[Parameter, ...]:
    """The Parameters whose values differ between two Configs, in the order of the table."""
    return tuple(parameter for parameter in PARAMETERS
                 if getattr(old, parameter.attribute) != getattr(new, parameter.attribute))


def _examine(source: Union[str, bytes], path: str,
             environ: Environ) -> Tuple[Config, Set[str], List[Problem]]:
    """(Config, attribute names without a usable value, problems)."""
    text = decode(source, path) if isinstance(source, bytes) else source
    entries, problems = document.read_entries(text, path)
    known, strangers = _match_keys(entries, path)
    problems += strangers
    values, lines, broken = {}, {}, set()
    for parameter in PARAMETERS:
        name = parameter.attribute
        found = known.get(name, [])
        written = [entry for entry in found if not document.is_unset(entry.written)]
        if written:
            lines[name] = written[0].line
        values[name], mistakes = _read_value(parameter, found, written, path)
        if mistakes:
            broken.add(name)
            problems += mistakes
    problems.sort(key=lambda row: int(row[len(path):].split(':')[1]))
    resolve(values, os.path.dirname(os.path.abspath(path)), environ)
    config = Config(values, path, lines)
    return config, broken, problems + _broken_rules(config, broken, needs_nodes=False)


def _match_keys(entries: List[Entry], path: str) -> Tuple[Dict[str, List[Entry]], List[Problem]]:
    """(attribute name -> its entries, problems with keys that name no parameter)."""
    known: Dict[str, List[Entry]] = {}
    problems = []
    for entry in entries:
        name = entry.key.strip().lower()
        if name in BY_NAME:
            known.setdefault(name, []).append(entry)
            continue
        near = difflib.get_close_matches(name, list(BY_NAME), 1)
        remedy = ('write %s if that is meant' % BY_NAME[near[0]].name if near
                  else 'take it out')
        problems.append(problem(path, entry.line, show(entry.key), 'an unknown parameter',
                                'a name out of ahm_config.yml.sample', remedy))
    return known, problems


def _read_value(parameter: Parameter, found: List[Entry], written: List[Entry],
                path: str) -> Tuple[Any, List[Problem]]:
    """(value, problems) of a parameter: `found` are its entries, `written` those not empty."""
    value, problems = initial(parameter), []
    if len(found) > 1:
        problems.append(_twice(path, parameter, found))
    for entry in written:
        try:
            value = _value(entry.written, parameter)
        except ValueError as error:
            problems.append(problem(path, entry.written.line, parameter.name,
                                    document.describe(entry.written), expected(parameter),
                                    str(error)))
    if parameter.default is REQUIRED and not written:
        problems.append(problem(path, found[0].line if found else 1, parameter.name, 'nothing',
                                expected(parameter), 'set it'))
    return value, problems


def _twice(path: str, parameter: Parameter, found: List[Entry]) -> Problem:
    spelled = parameter.name if parameter.name == found[-1].key else '%s, written %s,' % (
        parameter.name, show(found[-1].key))
    return problem(path, found[-1].line, parameter.name,
                   '%s again, first in line %d' % (spelled, found[0].line),
                   'every parameter once, in whatever case', 'take one of them out')


def _value(written: Written, parameter: Parameter) -> Any:
    value = parameter.kind.parse(written, parameter)
    if parameter.minimum is not None and value < parameter.minimum:
        raise ValueError('give %s or more' % number(parameter.minimum))
    if parameter.maximum is not None and value > parameter.maximum:
        raise ValueError('give %s or less' % number(parameter.maximum))
    return value


def _broken_rules(config: Config, broken: Set[str], needs_nodes: bool) -> List[Problem]:
    """Problems from RULES, of those that do or do not need the nodes, whose values are usable."""
    problems = []
    for rule in RULES:
        usable = not broken.intersection(key.lower() for key in rule.keys)
        if rule.needs_nodes == needs_nodes and usable and applies(config, rule) \
                and not rule.is_met(config):
            key = subject(config, rule)
            problems.append(problem(config.path, config.line_of(key), key, _found(config, rule),
                                    'that ' + rule.text, rule.remedy, rule.code))
    return problems


def _found(config: Config, rule: Rule) -> str:
    return ', '.join('%s %s' % (key, shown(config, key)) for key in rule.keys)


def shown(config: Config, key: str) -> str:
    """The value of the parameter `key` as it can stand in a message: on one line, no password."""
    value = getattr(config, key.lower())
    if value is None or value == ():
        return 'not set'
    return ' '.join(BY_NAME[key.lower()].kind.write(_masked(value)).split())


def _masked(value: Any) -> Any:
    """A value without its password: before it is written, for YAML has quotes of its own."""
    if isinstance(value, str):
        return without_password(value)
    return tuple(map(_masked, value)) if isinstance(value, tuple) else value


def _find_nodes(config: Config, broken: Set[str], directory: str, environ: Environ,
                is_local: Optional[IsLocal]) -> List[Problem]:
    """Set config.nodes and config.nodes_filename; problems where that is impossible."""
    if 'nodes_filename' in broken:
        return []
    places = [config.nodes_filename] if config.nodes_filename else _places(config, directory,
                                                                           environ)
    path = next((place for place in places if os.path.exists(place)), None)
    if path is None:
        line = config.line_of('nodes_filename') if 'nodes_filename' in config.given else 0
        return [problem(config.path, line, 'nodes_filename',
                        'no such file: %s' % ', nor '.join(show_path(place) for place in places),
                        'the list of nodes', 'create it or correct nodes_filename')]
    config.nodes_filename = path
    try:
        if broken.intersection(['ahm_port', 'listen_address']):
            nodes_file.read(path)
        else:
            config.nodes = nodes_file.load(path, config.ahm_port, config.listen_address, is_local)
    except ConfigError as error:
        return error.problems
    return []


def _places(config: Config, directory: str, environ: Environ) -> List[str]:
    """Where nodes.conf is looked for, in order, when nodes_filename does not say."""
    directories = [directory, os.path.dirname(config.path)]
    if environ.get('AHM_HOME'):
        directories.append(os.path.join(environ['AHM_HOME'], 'etc'))
    paths = [os.path.join(place, NODES_FILENAME) for place in directories]
    return sorted(set(paths), key=paths.index)
