"""The decisions of AHM, pure.

`Node.handle(event, now) -> Ready` is the only entrance: something happened (`events`), the node
thinks, and answers with what it wants done (`effects`) in its order (`out`).  It owns no clock, no
socket, no file, no process, no random source and no log; `now` comes with every event, in seconds
of a clock that goes on during a suspend, and `Node.wake_at` says when it next wants to be called
with `Ticked` if nothing else happens.  So the daemon and the simulation run the same object.

    node.py ── builds all parts, lets them decide in turn, starts the procedures that they want
      │
      ├── consensus/     who leads: places, terms, seconds
      ├── policy/        what a node makes of databases, of the VIP, of operators' wishes
      └── procedures/    take over, step down, hand over, follow: straight lines
      all three read the words: beacon, states, events, effects, settings, clock, facts, out

Reading order:

    states      the two tables of the manual, and the roles of a node
    beacon      the row: all that one node tells the others
    events      what can happen            effects     what can be asked for
    settings    what a node is told at its start
    clock       the time of a node, and when it wants to be called again
    asks        what utilities ask for that changes something
    limits      how long what is asked for may take, and how long others are waited for
    facts       what every part may read: time, settings, names, the own row
    out         what a node wants of its world, collected while it thinks
    consensus   who leads: what safety rests on, with an order of its own
    policy:
    record      which primary database is the rightful one
    database    the local database, as far as its checks tell
    pause       the whole cluster is paused: nothing fails over
    place       where the primary is, and was: what was seen, what is on record
    claims      what the primary's commits wait for
    intents     what operators asked of the whole cluster
    checks      look at the local database, ask trusted servers
    synchronous  AHM sets what the primary's commits wait for
    grace       how long a server that is starting up is waited for
    evidence    what the living say of the old primary's database
    election    eligibility and rank, as pure functions of rows
    candidate   what this node wishes of an election
    duties      what a leader does: mind the database, name a successor, hear wishes
    standby     whether the local standby is in, out, or not trusted for a while
    isolation   how long a primary may run beside a node that does not lead
    vip         the VIP on this host: seen, wanted, put right
    rehearsals  what is needed on the bad day only, looked at on good days
    repoint     where the local database belongs
    boot        what is started once its host has booted
    force       an operator's word in place of a majority that is gone
    forced      what is asked before that
    promotion   an operator wants this database to be the primary
    leaving     being asked to end          ending      all daemons end
    maintenance  one node left to its operator
    operator    what an operator asked of this node, one task at a time
    task        one such task
    agreement   what all nodes have to agree on
    foreign     nodes of another cluster
    ways_out    the command that ends a state in which the cluster waits for a person
    troubles    what is wrong here for as long as it lasts, told once
    history     what the history of events keeps: timelines, who asked, since when
    and above them:
    wanted      the procedures that parts want, and which one overtakes which
    steps       what a procedure waited for, and how long
    plan        runs one procedure at a time
    parts       all parts of a node, each knowing those above it only
    trouble_kinds   the kinds of trouble, as a table (in policy)
    variables   what the operator's commands are told in their environment
    procedures  take over, step down, switch over, shut down, follow, attach, rejoin, restart,
                start up
    own_row     the one place where facts become claims
    settling    the state for people, where it follows from all the rest
    node        ties these together
    status      what `ahm_cluster_status` prints        requests    what utilities may ask

The contract between the core and its world:

* Deadlines are applied before the event that came with them: a process that was stopped drops its
  lease before it reads its mail.
* Effects are performed in the order of `Ready`, before those of another event.  `SaveState` is
  answered by `StateSaved` (or `StateSaveFailed`) when the disk has answered; until then no other
  one is asked for, and no row leaves whose term, vote, leader, record or claim is not on disk.
* An effect with a token is answered once by an event with that token; an answer to a token that
  is no longer waited for changes nothing.
"""
