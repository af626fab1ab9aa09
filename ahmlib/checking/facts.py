"""All that is known before a rule is asked.  A fact that is not known is Unknown, with the reason.
"""

from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

from ahmlib.checking.finding import Unknown
from ahmlib.database.probe import Found
from ahmlib.database.rehearsal import Rehearsed
from ahmlib.database.survey import Files, Shown, Survey

if TYPE_CHECKING:
    from ahmlib.config.loader import Config


#: Of what has to be asked of a database that does not answer; why it does not is told once.
NO_ANSWER = Unknown('the database of this node does not answer a query')


class Host(NamedTuple):
    """What this host is, as far as a rule needs it."""

    user: str                           # who asks, by name
    uid: int
    #: As whom AHM runs: whom data_dir belongs to.  None: not told by it (there is none, or it is
    #: sticky, as /tmp, where files of AHM are its own whoever owns the directory).
    ahm_uid: Optional[int]
    config_mode: int                    # of ahm_config.yml
    has_systemd: bool                   # whether systemd cleans /tmp here
    kept_in_tmp: Sequence[str] = ()     # what its cleaner leaves alone (tmpfiles.d)
    ahm_user: str = ''                  # what tells that, in words
    remedy: str = ''                    # how to ask as that user
    #: The unit in which the server of db_data_dir runs, '' for none; None: it does not run, or who
    #: asks does not see it.
    server_unit: Optional[str] = None

    @property
    def another_user(self) -> str:
        """Why what who asks may do says nothing of AHM; '' where it runs as the same user."""
        if self.ahm_uid in (None, self.uid):
            return ''
        return '%s, and this is run by %s' % (self.ahm_user, self.user)


class Daemon(NamedTuple):
    """The daemon of this configuration: whether one runs, and what it says."""

    pid: Optional[int]                  # None: none runs
    cluster: Optional[int] = None       # the fingerprint by which it runs; None: not told
    #: node -> its line of the status, by address; {} where it did not say.
    nodes: Dict[str, Dict[str, Any]] = {}
    #: The capabilities (bits) of a program that it starts; None: not known.
    capabilities: Optional[int] = None
    uid: Optional[int] = None           # as whom it runs; None: not known


class Memory(NamedTuple):
    """The state file: `refused` is why a start refuses it, `damaged` why it counts as none."""

    refused: str = ''
    damaged: str = ''
    is_there: bool = False
    cluster: Optional[int] = None       # the fingerprint that is in it


class Start(NamedTuple):
    """What a start would meet; '' where nothing."""

    log: str = ''                       # why it cannot be written
    syslog: str = ''                    # why what is logged there is lost
    ports: Tuple[str, ...] = ()         # why they cannot be had; empty where a daemon has them


class Server(NamedTuple):
    """The server of another node: what the daemon's own probe found, and the survey."""

    host: str
    port: int
    found: Found
    survey: Union[Survey, Unknown]


class Takeover(NamedTuple):
    """A rehearsal of a takeover: what would fail it, and what it would lack."""

    fails: Sequence[str]
    lacks: Sequence[str]


class Facts(NamedTuple):
    """All of it.  Of a witness, what concerns a database is Unknown, and no rule asks for it."""

    config: 'Config'
    host: Union[Host, Unknown]
    daemon: Union[Daemon, Unknown]
    memory: Union[Memory, Unknown]
    start: Union[Start, Unknown]
    #: What the check of the daemon finds at conn_string, and more of it where it answers.
    probe: Union[Found, Unknown]
    server: Union[Survey, Unknown]
    files: Union[Files, Unknown]
    #: The system identifier in db_data_dir; '' where that is no data directory.
    identifier: Union[str, Unknown]
    takeover: Union[Takeover, Unknown]
    handover: Union[Rehearsed, Unknown]
    #: Of all other nodes but those that are known to be witnesses.
    others: Tuple[Server, ...] = ()
    #: Whose servers were asked in the rehearsal of a handover, by the numbers it has for them.
    asked_servers: Tuple[str, ...] = ()
    #: What sudo says against the commands that start and stop the database, a sentence each.
    db_commands: Union[Sequence[str], Unknown] = ()

    @property
    def another_user(self) -> str:
        """That of the Host."""
        return '' if isinstance(self.host, Unknown) else self.host.another_user

    @property
    def found(self) -> Union[Found, Unknown]:
        """What the probe found where a query was answered."""
        if isinstance(self.probe, Found) and not self.probe.answered:
            return NO_ANSWER
        return self.probe

    @property
    def directory(self) -> str:
        """In which directory of this host the server here runs; '' where it is not told."""
        if isinstance(self.server, Unknown):
            return ''
        return self.server.settings.get('data_directory', Shown('')).value

    @property
    def primary(self) -> Union[Survey, Unknown]:
        """The primary's Survey; this server's own where it is one."""
        if isinstance(self.server, Survey) and not self.server.in_recovery:
            return self.server
        return next((each.survey for each in self.others if isinstance(each.survey, Survey)
                     and not each.survey.in_recovery), Unknown('no primary answers'))

    @property
    def senders(self) -> Union[Found, Unknown]:
        """What the primary says of its standbys."""
        if isinstance(self.probe, Found) and self.probe.in_recovery is False:
            return self.probe
        return next((each.found for each in self.others if each.found.in_recovery is False),
                    Unknown('no primary answers'))
