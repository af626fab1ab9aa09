"""Show the state of the cluster, as the asked AHM node sees it.

Usage:
  ahm_cluster_status [options]

Options:
  -h, --host=HOST         AHM node to ask: an address, or the virtual IP.
                          Without it, the daemon of this host is asked through
                          its UNIX socket.
  -p, --port=PORT         Its ipc_port (default: 9595).
  -s, --socket-dir=DIR    Directory of the UNIX socket (default: /tmp).
  -f, --config-file=FILE  Take socket_dir and ipc_port from this ahm_config.yml.
  --json                  Print the status as JSON.
  --help                  Print this help.

Exit status: 0 shown; 1 refused, the reason is on stderr; 2 wrong usage;
3 no daemon there; 4 shown, and the cluster has no leader.
"""

import json
import unicodedata

from ahmlib.ipc.client import ProtocolError
from ahmlib.utilities import common

NO_LEADER = 4

NOT_SET = 'Not Set'

# The status object's key, and the label it has in the text.
HEAD = (
    ('leader', 'Leader Node:'),
    ('leader_host', 'Leader Host:'),
    ('successor', 'Successor Node:'),
    ('successor_host', 'Successor Host:'),
    ('virtual_ip', 'Virtual IP :'),
    ('leader_holds_vip', 'Leader-Hold-VIP:'),
    ('remote_nodes', 'Remote Nodes:'),
)
COLUMNS = (
    ('name', 'Node'),
    ('database', 'Database'),
    ('address', 'Address'),
    ('port', 'Port'),
    ('priority', 'Priority'),
    ('witness', 'Witness'),
    ('state', 'State'),
)


def main(argv):
    """Ask for the status, print it, and return the exit code."""
    args = common.arguments(__doc__, argv)
    status = common.ask(args, {'ask': 'status'}).get('status')
    if not isinstance(status, dict) or not isinstance(status.get('nodes'), list):
        raise ProtocolError('the answer holds no status; is an AHM daemon of this version'
                            ' listening there?')
    if args['--json']:
        common.put(json.dumps(status, sort_keys=True, indent=2))
    else:
        common.put(render(status).rstrip('\n'))
    return common.OK if status.get('leader') else NO_LEADER


def render(status):
    """Return the status object as the text that is printed, with a line end at its end.

    Header and table have the manual's shape, which scripts read; whatever else there is to say
    follows after an empty line.
    """
    lines = ['Cluster Status', '']
    lines += ['%s %s' % (label, _text(status.get(key))) for key, label in HEAD]
    lines.append('')
    lines += _table(status.get('nodes', ()))
    lines += _remarks(status)
    return '\n'.join(lines) + '\n'


def _table(nodes):
    rows = [[title for _, title in COLUMNS]]
    rows += [[_text(node.get(key)) for key, _ in COLUMNS] for node in nodes]
    widths = [max(_width(row[place]) for row in rows) for place in range(len(COLUMNS))]
    return [' '.join(_pad(cell, width) for cell, width in zip(row, widths)).rstrip()
            for row in rows]


def _remarks(status):
    remarks = []
    if status.get('has_majority') is False:
        remarks.append('No majority: %s is not in contact with a majority of the nodes; this is'
                       ' only what it sees' % _text(status.get('asked')))
    remarks += ['Warning: %s' % _text(warning) for warning in status.get('warnings') or ()]
    return [''] + remarks if remarks else []


def _text(value):
    if value is None or value == '':
        return NOT_SET
    return common.printable(str(value))


def _pad(text, width):
    return text + ' ' * (width - _width(text))


def _width(text):
    """Return the columns that `text` takes on a terminal: Hangul and the like take two."""
    return sum(2 if unicodedata.east_asian_width(character) in 'WF' else 1
               for character in text)
