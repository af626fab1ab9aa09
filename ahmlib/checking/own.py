"""What a node says of itself to `ahm_check_config --cluster`, in a child of its daemon.

Its findings are those of the file as it stands now.  What is compared with other nodes is that by
which the daemon runs.
"""

from typing import TYPE_CHECKING, Any, Dict, Tuple

from ahmlib import __version__
from ahmlib.checking import gather, of_config, table
from ahmlib.checking.finding import Finding
from ahmlib.checking.of_nodes import OF_LEASE, POLICY, SHARED, TIMES
from ahmlib.config.problems import without_password
from ahmlib.core.settings import split_address
from ahmlib.database.survey import Survey
from ahmlib.runtime.settings import core_settings

if TYPE_CHECKING:
    from ahmlib.config.loader import Config


def check(running: 'Config') -> Dict[str, Any]:
    """The answer of the node whose daemon runs by this Config."""
    config, problems = gather.load(running.path)
    survey, findings = None, of_config.refused(problems)
    if config is not None:
        facts = gather.facts(config)
        findings = table.judge(facts)
        survey = facts.server if isinstance(facts.server, Survey) else None
    return {'findings': [clean(finding)._asdict() for finding in findings],
            'about': about(running), 'survey': survey}


def about(config: 'Config') -> Dict[str, Any]:
    """What is compared of this Config."""
    settings = core_settings(config)
    names = OF_LEASE + (() if config.is_witness else TIMES + POLICY + SHARED)
    return {'name': config.node_name, 'address': split_address(settings.addresses[settings.own])[0],
            'ahm': __version__, 'cluster': settings.cluster, 'witness': config.is_witness,
            'priority': config.priority, 'parameters': values(config, names)}


def values(config: 'Config', names: Tuple[str, ...]) -> Dict[str, str]:
    """{parameter: value as text}."""
    return {name: str(getattr(config, name.lower())) for name in names}


def clean(finding: Finding) -> Finding:
    """Without a password, whoever said it, and on one line each."""
    return Finding(*(' '.join(without_password(text).split()) for text in finding))
