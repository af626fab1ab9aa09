"""The manual pages in man/ as their tests read them: sections, tagged paragraphs, plain text."""

import os
import re
import shlex

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAN = os.path.join(ROOT, 'man')
PAGES = sorted(name for name in os.listdir(MAN) if re.search(r'\.[1-8]$', name))


def source(name):
    """The roff of a page, with plain hyphens."""
    with open(os.path.join(MAN, name), encoding='utf-8') as page:
        return page.read().replace(r'\-', '-')


def plain(text):
    """Text without roff's requests and fonts, on one line."""
    text = re.sub(r'^\.(?:[BI]|[BIR]{2}) ', '', text, flags=re.MULTILINE)
    text = re.sub(r'^\..*\n', '', text, flags=re.MULTILINE)
    return ' '.join(re.sub(r'\\f[BIRP]|\\&', '', text).split())


def section(name, title):
    """The roff below this heading."""
    return re.search(r'^\.SH %s\n(.*?)(?=^\.SH |\Z)' % title, source(name),
                     re.MULTILINE | re.DOTALL).group(1)


def items(name, title):
    """{tag: text} of the tagged paragraphs below this heading."""
    parts = re.split(r'^\.TP.*\n', section(name, title), flags=re.MULTILINE)[1:]
    return {plain(tag + '\n'): plain(text) for tag, _, text in
            (part.partition('\n') for part in parts)}


def shown(line):
    """A line of roff as it is printed: words whose fonts alternate stand together."""
    line = re.sub(r'\\f[BIRP]|\\&', '', line)
    macro = re.match(r'\.(B|I|[BIR]{2}) (.*)', line)
    if macro is None:
        return line
    return (' ' if len(macro.group(1)) == 1 else '').join(shlex.split(macro.group(2)))


def tags(name, title):
    """The tags of the tagged paragraphs below this heading, in order, as they are printed."""
    return [shown(line) for line in re.findall(r'^\.TP.*\n(.*)$', section(name, title),
                                               re.MULTILINE)]


def blocks(name, title):
    """The texts below this heading that are printed line by line."""
    found = re.findall(r'^\.nf\n(.*?)^\.fi', section(name, title), re.MULTILINE | re.DOTALL)
    return [re.sub(r'\\f[BIRP]', '', text).replace(r'\e', '\\').replace(r'\(aq', "'")
            for text in found]
