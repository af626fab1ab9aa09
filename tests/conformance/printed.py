"""What the manual prints, with the settled corrections, in the shape of ahm_cluster_status.

The PDF has lost empty lines and columns, and contradicts itself and the manual's own words in some
places.  Every such place is in CORRECTIONS, with what is right and why; the rest is as printed.
"""

from . import manual

#: 19.6.1 names three labels otherwise than 19.8, which is right.
LABELS = {'VIP': 'Virtual IP', 'Leader-hold-VIP': 'Leader-Hold-VIP'}
#: The labels as they are printed: one has a blank before its colon.
COLONS = {'Virtual IP': ' : '}

#: Place of the status among all in the manual -> what is right there, and why.
CORRECTIONS = {
    1: ({'AHM-NODE-2 Priority': '1'}, 'step 3 has the same priority in both files'),
    2: ({'AHM-NODE-2 Priority': '1', 'Leader-Hold-VIP': 'True', 'Successor Node': 'Not Set',
         'Successor Host': 'Not Set'},
        'the new leader has the VIP; it is not its own successor, and the other database failed'),
    3: ({'AHM-NODE-2 Priority': '1', 'Leader-Hold-VIP': 'True', 'Successor Node': 'AHM-NODE-1',
         'Successor Host': '210.104.181.77'},
        'the leader has the VIP, and is not its own successor'),
    4: ({'Leader-Hold-VIP': 'True', 'AHM-NODE-2 Database': 'FAILED'},
        'the leader has the VIP; the database of the lost node, of which the manual says that its '
        'state means nothing, was stopped by the handover'),
    5: ({'Leader-Hold-VIP': 'True'}, 'the leader has the VIP'),
}


def corrected(place, source=None):
    """The Status at this place in the manual, with its corrections."""
    status = manual.printed_statuses(source or manual.text())[place]
    changes = dict(CORRECTIONS[place][0]) if place in CORRECTIONS else {}
    values = tuple((LABELS.get(label, label), changes.pop(LABELS.get(label, label), value))
                   for label, value in status.values)
    head, rows = status.rows[0], []
    for row in status.rows[1:]:
        rows.append(tuple(changes.pop('%s %s' % (row[0], column), cell)
                          for column, cell in zip(head, row)))
    assert not changes, 'corrections of what is not printed: %s' % changes
    return status._replace(values=values, rows=(head,) + tuple(rows))


def laid_out(status, addresses=None):
    """A Status as the utility prints it; `addresses` are put in place of the manual's."""
    def here(text):
        return (addresses or {}).get(text, text)
    lines = ['Cluster Status', '']
    lines += [label + COLONS.get(label, ': ') + here(value) for label, value in status.values]
    rows = [[here(cell) for cell in row] for row in status.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines.append('')
    lines += [' '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
              for row in rows]
    return '\n'.join(lines) + '\n'
