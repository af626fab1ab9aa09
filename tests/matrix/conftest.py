"""After the tests: one table, version by version, of what became of them and how long it took."""

#: Heading -> property that a test records.
COLUMNS = (('kill -9', 'kill -9'), ('switchover', 'switchover'), ('dead host', 'dead host'))


def pytest_terminal_summary(terminalreporter):
    """Print the table where any test of these ran."""
    reports = [report for outcome in ('passed', 'failed', 'skipped', 'error')
               for report in terminalreporter.stats.get(outcome, ())
               if '/matrix/' in report.nodeid and (report.when == 'call' or not report.passed)]
    if not reports:
        return
    terminalreporter.section('PostgreSQL by major version')
    terminalreporter.write_line('%-44s %-8s %8s   outage of the client, seconds, by' % ('', '', ''))
    terminalreporter.write_line('%-44s %-8s %8s %s' % (
        'test', 'result', 'seconds', ''.join('%11s' % heading for heading, _ in COLUMNS)))
    for report in reports:
        seen = dict(getattr(report, 'user_properties', ()))      # none where it was not collected
        cells = ''.join('%11s' % ('%.2f' % seen[name] if name in seen else '-')
                        for _, name in COLUMNS)
        terminalreporter.write_line('%-44s %-8s %8.1f %s' % (
            seen.get('row', report.nodeid.rpartition('::')[2][-44:]), report.outcome,
            report.duration, cells))
