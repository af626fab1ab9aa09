"""Mutation testing of what safety rests on: would a small slip be noticed?

Cosmic Ray changes one comparison, constant, boolean or sum of `ahmlib/core/consensus` at a time,
and the tests are run, in stages, until one fails.  What survives all stages is either a missing
test, which is then written, or changes nothing of value, which `survivors.txt` then explains.

    make mutation                               # half an hour
    make mutation MODULES="lease promise"       # some modules
    make mutation STAGES="consensus units"         # without what takes minutes

Cosmic Ray, because it changes the text of a file: what stands outside of functions too (limits,
tables, defaults), and the tests that read and patch the core's source see what they expect.  mutmut
3 puts all variants of a function into one file behind a switch, and does neither.  Cosmic Ray works
in place, so it is given copies of the tree.

    cosmic-ray.toml     which changes are made, and which are not, and why
    requirements.txt    the tool, for an environment of its own
    __main__.py         the copies, one session of the tool for each module, and what came of them
    stages.py           the tests that one mutant has to survive, the quick ones first
    mutants.py          where a mutant is, in words that outlive a change elsewhere
    survivors.py, .txt  those that may survive, each with its reason; `tests/tidy` keeps it fresh
"""
