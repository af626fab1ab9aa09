"""The keywords of libpq, and which of them AHM writes itself.

How a string is taken apart into them is in `database.conninfo`.

libpq refuses a whole string for one keyword that it does not know, and a standby whose
primary_conninfo holds one starts and never streams.  libpq itself is not asked here: psycopg2,
which brings one, is for child processes, and the server's own may be another version.
"""

import difflib
from typing import Iterable, Sequence

#: Keyword -> the first major version of libpq that has it; 10 stands for all earlier ones, too.
#: `authtype` and `tty`, which never did anything and are gone since 14, are left out.
KEYWORDS = {
    'application_name': 10, 'channel_binding': 13, 'client_encoding': 10, 'connect_timeout': 10,
    'dbname': 10, 'fallback_application_name': 10, 'gssdelegation': 16, 'gssencmode': 12,
    'gsslib': 10, 'host': 10, 'hostaddr': 10, 'keepalives': 10, 'keepalives_count': 10,
    'keepalives_idle': 10, 'keepalives_interval': 10, 'krbsrvname': 10, 'load_balance_hosts': 16,
    'max_protocol_version': 18, 'min_protocol_version': 18, 'oauth_client_id': 18,
    'oauth_client_secret': 18, 'oauth_issuer': 18, 'oauth_scope': 18, 'options': 10,
    'passfile': 10, 'password': 10, 'port': 10, 'replication': 10, 'require_auth': 16,
    'requirepeer': 10, 'scram_client_key': 18, 'scram_server_key': 18, 'service': 10,
    'ssl_max_protocol_version': 13, 'ssl_min_protocol_version': 13, 'sslcert': 10,
    'sslcertmode': 16, 'sslcompression': 10, 'sslcrl': 10, 'sslcrldir': 14, 'sslkey': 10,
    'sslkeylogfile': 18, 'sslmode': 10, 'sslnegotiation': 17, 'sslpassword': 13,
    'sslrootcert': 10, 'sslsni': 14, 'target_session_attrs': 10, 'tcp_user_timeout': 12,
    'user': 10,
}
#: The words of primary_conninfo that AHM sets whenever it points a standby to a primary.
OWN = ('host', 'hostaddr', 'port', 'user', 'application_name')


def check_keywords(keywords: Iterable[str], known: Sequence[str] = tuple(KEYWORDS)) -> None:
    """Raise ValueError, which says what to do, for the first keyword that is not `known`."""
    for keyword in keywords:
        if keyword in known:
            continue
        near = difflib.get_close_matches(keyword.lower(), known, 1)
        raise ValueError('%s is no keyword of libpq: %s' % (
            keyword, 'write %s if that is meant' % near[0] if near else 'take it out'))


def check_options(keywords: Sequence[str]) -> None:
    """Likewise for what AHM adds to the primary_conninfo that it writes."""
    own = [keyword for keyword in keywords if keyword in OWN]
    if own:
        raise ValueError('take %s out: AHM writes %s itself, the user from replication_user'
                         % (' and '.join(own), ', '.join(OWN)))
    check_keywords(keywords, tuple(keyword for keyword in KEYWORDS if keyword not in OWN))
