"""YAML text taken apart into keys and values as they were written, with their lines.

The text is composed, not constructed: YAML's own ideas of a value (`on` is true, 010 is 8, 1:30 is
90) never apply.  What a value means is decided by its parameter (kinds.py), from the characters
the person wrote and whether they stand in quotes.
"""

from typing import List, NamedTuple, Optional, Tuple

import yaml

from ahmlib.config.problems import ConfigError, Problem, problem, show

STANDARD_TAG = 'tag:yaml.org,2002:'
# Tags that YAML gives to plain words and that mean nothing but "characters" here.
TEXTUAL_TAGS = frozenset(['str', 'int', 'float', 'timestamp', 'value', 'merge'])


class Written(NamedTuple):
    """A value as it stands in the file.

    `text` is None where it is no scalar; `items` is None where it is no list.
    """

    text: Optional[str]
    tag: str
    plain: bool
    line: int
    items: Optional[Tuple['Written', ...]] = None


class Entry(NamedTuple):
    """One key of the file and what was written for it."""

    key: str
    line: int
    written: Written


def read_entries(text: str, path: str) -> Tuple[List[Entry], List[Problem]]:
    """(entries in file order, problems) of the YAML mapping in `text`.

    Raises ConfigError where the text is no YAML at all, or no mapping.
    """
    root = _compose(text, path)
    expected = 'a mapping, one "name: value" a line'
    if root is None:
        raise ConfigError([problem(path, 1, '', 'an empty file', expected,
                                   'start from ahm_config.yml.sample')])
    if not isinstance(root, yaml.MappingNode):
        found = 'a list' if isinstance(root, yaml.SequenceNode) else show(root.value)
        raise ConfigError([problem(path, _line(root), '', found, expected,
                                   'start from ahm_config.yml.sample')])
    entries, problems = [], []
    for key, value in root.value:
        if isinstance(key, yaml.ScalarNode) and key.value.strip():
            entries.append(Entry(key.value, _line(key), _written(value)))
        else:
            problems.append(problem(path, _line(key), '', 'a key that is no word',
                                    'the name of a parameter', 'take it out'))
    return entries, problems


def is_unset(written: Written) -> bool:
    """Whether a value is written but says nothing: empty, null, '' or []."""
    if written.items is not None:
        return not written.items
    return written.text is not None and (written.tag == 'null' or not written.text.strip())


def describe(written: Written) -> str:
    """What stands there, in words, for "found ..." in a message."""
    if written.items is not None:
        return 'a list'
    if written.text is None:
        return 'a mapping'
    if written.tag == 'bool' and written.plain:
        return '%s (a boolean)' % written.text
    if written.tag not in TEXTUAL_TAGS | {'bool', 'null'}:
        return 'the tag %s' % show(written.tag)
    return show(written.text) if written.plain else '%s in quotes' % show(written.text)


def _compose(text: str, path: str) -> Optional[yaml.Node]:
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line, reason = text.count('\n', 0, error.position) + 1, error.reason
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, reason = mark.line + 1 if mark else 1, _story(error)
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        line, reason = loader.line + 1 if loader else 1, str(error)
    except RecursionError:
        line, reason = loader.line + 1 if loader else 1, 'brackets nested too deeply'
    finally:
        if loader:
            loader.dispose()
    raise ConfigError([problem(path, line, '', 'a YAML error (%s)' % ' '.join(reason.split()),
                               '"name: value"', 'look at quotes, colons and tabs in and above '
                               'this line')])


def _story(error: yaml.MarkedYAMLError) -> str:
    """What YAML says, with the line where the construct that it could not end began."""
    if error.context and error.context_mark:
        return '%s that begins in line %d, %s' % (error.context, error.context_mark.line + 1,
                                                  error.problem)
    return error.problem or error.context or str(error)


def _written(node: yaml.Node) -> Written:
    line, tag = _line(node), node.tag
    if tag.startswith(STANDARD_TAG):
        tag = tag[len(STANDARD_TAG):]
    if isinstance(node, yaml.ScalarNode):
        return Written(node.value, tag, node.style is None, line)
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_written(item) if isinstance(item, yaml.ScalarNode)
                      else Written(None, 'map', False, _line(item)) for item in node.value)
        return Written(None, tag, False, line, items)
    return Written(None, tag, False, line)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
