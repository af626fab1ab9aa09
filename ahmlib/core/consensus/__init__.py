"""Who leads: what safety rests on, in one folder.

It knows places, terms, seconds, and those sections of the rows that every node has; what a leader
does with its role, and who should be one, is no concern of it.  With ahm_protocol(7) beside these
modules L1, L3, L6 to L10, L12, L15 and L19 can be argued from them alone.

Reading order:

    quorum      majority arithmetic
    timing      lease, promise, fence: three durations from (interval, retries)
    membership  who is heard, who hears me, who is lost
    saved       what must not be forgotten
    ballot      term, vote, role: the only way to change a role
    promise     a follower's duty to its leader, counted from when it listened
    lease       the leader's right to act, counted from when it spoke
    tie_break   half of an even number of nodes: a trusted server decides
    tenure      this node as leader: the lease held, the term kept above everybody's, its end
    follower    take the leader's rows, keep the promise, notice its end
    wish        what the rest of the core wishes of an election
    contest     vote, stand, count
    speaking    save, then say
    consensus   ties these together

The rest of the core tells it what it wishes: it may refuse a vote or a candidacy, and
grants nothing.
"""
