"""What is wrong, or will hurt at a failover, found before it does: ahm_check_config.

It looks with the eyes of those who will do the thing: the configuration is read as a start reads
it, a takeover and a handover are rehearsed as the daemon rehearses them.  What only this command
asks is what servers say of their settings.  Questions are asked in child processes with limits, all
that they answer is facts, and each rule is a pure function of facts.  What was not answered is
unknown, with the reason, and never well.

    finding.py      what a rule says: level, code, subject, found, why, fix
    facts.py        all that is known before a rule is asked
    questions.py    what is asked, each in a child of its own; nothing is changed
    gather.py       asks all of it, side by side
    lines.py        which line of which file to change
    of_config.py    what the configuration is refused for, or warned of, and its durations
    of_start.py     what else a start meets: a daemon, files, ports
    of_server.py    the server beside this node
    of_minors.py    minor versions of PostgreSQL with known faults
    of_service.py   who starts it: AHM, or a service manager
    of_standby.py   replication: whom it follows, under which name, and until when
    of_slots.py     what keeps connections and logical slots
    of_cluster.py   the servers of the other nodes, and how they differ from this one
    of_rehearsals.py    what would fail at a takeover or a handover
    own.py          what a node says of itself to --cluster, in a child of its daemon
    of_nodes.py     what has to be the same on all nodes
    table.py        all rules, in the order in which they are told
    show.py         the values of all parameters, and where each comes from
"""
