"""Why a node stepped down, or a takeover was stopped, as a word of a closed list: for labels.

The core tells people sentences, with names and numbers in them.  What each of them holds says which
kind it is; a sentence that nobody knows is `other`.
"""

import re
from typing import Any, Dict, Sequence, Tuple

OTHER, OVERTAKEN, NOT_ELIGIBLE = 'other', 'overtaken', 'not eligible'
Table = Sequence[Tuple[str, str]]

#: What the sentence holds -> the word; the first that is found counts.
STEP_DOWNS: Table = (
    ('no majority acknowledges', 'lease'), ('no majority repeated', 'record'),
    ('leads in term', 'deposed'), ('is in recovery', 'not primary'),
    ('second primary', 'second primary'), ('cut off from the others', 'isolated'),
    ('the promotion failed', 'promotion'),
    ('its database failed', 'database'), ('could not be started again', 'database'))
TAKEOVERS: Table = (
    ('not enough nodes acknowledged', 'lease'), ('no majority acknowledges', 'lease'),
    ('no majority repeated', 'record'), ('leads in term', 'deposed'),
    ('pre_promotion_command', 'fencing'), ('the promotion failed', 'promotion'),
    ('has more data', 'data'), ('its position is not known', 'data'),
    ('synchronous standbys', 'synchronous'),
    ('the database of', 'evidence'), ('not every living node', 'evidence'), ('VIP', 'vip'),
    ('is quarantined', NOT_ELIGIBLE), ('was reported out', NOT_ELIGIBLE),
    ('failed its checks', NOT_ELIGIBLE), ('has not answered yet', NOT_ELIGIBLE),
    ('not the one on record', NOT_ELIGIBLE), ('has priority 0', NOT_ELIGIBLE),
    ('another system identifier', NOT_ELIGIBLE), ('promoted by somebody else', NOT_ELIGIBLE),
    ('cannot replay', NOT_ELIGIBLE), ('does not stream', NOT_ELIGIBLE),
    ('failover_lag_limit_bytes', NOT_ELIGIBLE), ('is in maintenance', NOT_ELIGIBLE))
#: Where the sentence says nothing, the step that it was stopped in does.
STEPS: Dict[str, str] = {
    'pre_promotion_command': 'fencing', 'VIP silent': 'vip', 'positions compared': 'data',
    'everybody looks again': 'evidence', 'promotion': 'promotion', 'on record': 'record'}


OF_STEP_DOWNS = tuple(sorted({word for _, word in STEP_DOWNS} | {OTHER}))
OF_TAKEOVERS = tuple(sorted({word for _, word in TAKEOVERS} | {OTHER, OVERTAKEN}))


def of_step_down(sentence: str) -> str:
    """Why a node stepped down."""
    return _found(STEP_DOWNS, sentence)


def of_takeover(sentence: str, text: str, steps: Sequence[Any]) -> str:
    """Why a takeover was stopped, by the cause, the text and the steps of its event."""
    if '; overtaken by ' in text:
        return OVERTAKEN
    word = _found(TAKEOVERS, sentence)
    known = [STEPS[step[0]] for step in steps if step[0] in STEPS]
    return known[-1] if word == OTHER and known else word


def _found(table: Table, sentence: str) -> str:
    for part, word in table:
        if re.search(r'\b%s\b' % re.escape(part), sentence):
            return word
    return OTHER
