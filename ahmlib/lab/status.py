"""What `ahm_cluster_status` prints, read back.

The layout is fixed (a line a field, then a table with aligned columns), and cells may contain a
space (`Not Set`), so the table is cut where its heading's words begin.
"""
from typing import Dict, NamedTuple, Optional, Tuple

from ahmlib.lab import LabError

COLUMNS = ('Node', 'Database', 'Address', 'Port', 'Priority', 'Witness', 'State')
ABSENT = 'Not Set'


class Row(NamedTuple):
    """One node's line in the status."""
    database: str
    address: str
    port: int
    priority: Optional[int]
    witness: bool
    state: str


class Status(NamedTuple):
    """The whole status; what is `Not Set` is None."""
    leader: Optional[str]
    leader_host: Optional[str]
    successor: Optional[str]
    successor_host: Optional[str]
    vip: Optional[str]
    holds_vip: Optional[bool]
    remote_nodes: int
    rows: Dict[str, Row]


def parse_status(text: str) -> Status:
    """The Status in a text; LabError with the text where it is none.

    A node never heard of has no name: its row is found under `address:port`.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    headings = [place for place, line in enumerate(lines) if line.split() == list(COLUMNS)]
    if not headings:
        raise LabError('this is no cluster status:\n' + text)
    fields: Dict[str, Optional[str]] = {}
    for line in lines[:headings[0]]:
        name, colon, value = line.partition(':')
        if colon:
            fields[name.strip()] = _present(value.strip())
    rows = {}
    for line in lines[headings[0] + 1:]:
        if not line:
            break
        node, row = _row(lines[headings[0]], line)
        rows[node or '%s:%d' % (row.address, row.port)] = row
    try:
        return Status(fields['Leader Node'], fields['Leader Host'], fields['Successor Node'],
                      fields['Successor Host'], fields['Virtual IP'],
                      {'True': True, 'False': False, None: None}[fields['Leader-Hold-VIP']],
                      int(fields['Remote Nodes'] or ''), rows)
    except (KeyError, ValueError) as error:
        raise LabError('the cluster status lacks %s:\n%s' % (error, text))


def _present(cell: str) -> Optional[str]:
    return None if cell in (ABSENT, '') else cell


def _row(heading: str, line: str) -> Tuple[Optional[str], Row]:
    """(name or None, Row) of one line of the table."""
    starts = [heading.index(word) for word in COLUMNS]
    cells = [line[start:end].strip() for start, end in zip(starts, starts[1:] + [None])]
    _, database, address, port, priority, witness, state = cells
    number = _present(priority)
    return _present(cells[0]), Row(database, address, int(port),
                                   None if number is None else int(number),
                                   witness == 'True', state)
