"""Why a node stepped down, or a takeover was stopped, as a word of a closed list: for labels.

The core tells people sentences, with names and numbers in them.  How each of them begins says which
kind it is; a sentence that nobody knows is `other`.
"""

import re
from typing import Any, Dict, Sequence, Tuple

OTHER, OVERTAKEN, NOT_ELIGIBLE = 'other', 'overtaken', 'not eligible'
Table = Sequence[Tuple[str, str]]

#: How the sentence begins (a regular expression) -> the word; the first that fits counts.  What is
#: behind a colon may be anything, so those with a name in front, which may be, too, come last.
STEP_DOWNS: Table = (
    ('no majority acknowledges', 'lease'), ('no majority repeated', 'record'),
    ('its database is in recovery', 'not primary'),
    ('its database ran as a second primary', 'second primary'),
    ('its database ran as a primary, cut off', 'isolated'),
    ('the promotion failed', 'promotion'), ('its database failed', 'database'),
    ('.* could not be started again', 'database'), (r'.* leads in term \d', 'deposed'))
TAKEOVERS: Table = (
    ('not enough nodes acknowledged', 'lease'), ('no majority acknowledges', 'lease'),
    ('no majority repeated', 'record'), ('pre_promotion_command failed', 'fencing'),
    ('the promotion failed', 'promotion'), ('its position is not known', 'data'),
    (r'heard \d+ of the \d+ synchronous standbys', 'synchronous'),
    ('not every living node', 'evidence'), ('the VIP', 'vip'),
    ('its database (is|has|failed) ', NOT_ELIGIBLE), ('was reported out', NOT_ELIGIBLE),
    ('has priority 0', NOT_ELIGIBLE), ('is on timeline', NOT_ELIGIBLE),
    ('cannot replay', NOT_ELIGIBLE), ('does not stream', NOT_ELIGIBLE),
    ('is in maintenance', NOT_ELIGIBLE), ('is .* failover_lag_limit_bytes', NOT_ELIGIBLE),
    ('the database of', 'evidence'), ('.* has more data', 'data'),
    (r'.* leads in term \d', 'deposed'))
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
    for begins, word in table:
        if re.match(begins, sentence):
            return word
    return OTHER
