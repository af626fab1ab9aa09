"""The decisions of AHM, pure.

`Node.handle(event, now) -> effects` is the only entrance: something happened (`events`), the node
thinks, and answers with an ordered list of what it wants done (`effects`).  It owns no clock, no
socket, no file, no process, no random source and no log; `now` comes with every event, in seconds
of a clock that goes on during a suspend, and `Node.wake_at` says when it next wants to be called
with `Ticked` if nothing else happens.  So the daemon and the simulation run the same object.

Reading order:

    states      the two tables of the manual: node states and database states
    beacon      the row: all that one node tells the others
    events      what can happen            effects     what can be asked for
    settings    what a node is told at its start
    timing      lease, promise, fence: three durations from (interval, retries)
    quorum      majority arithmetic
    membership  who is heard, who hears me, who is lost
    lease       the leader's right to act, counted from when it spoke
    promise     a follower's duty to its leader, counted from when it listened
    record      which primary database is the rightful one
    database    the local database, as far as its checks tell
    claims      what the primary's commits wait for
    evidence    what the living say of the old primary's database
    election    eligibility and rank, as pure functions of rows
    elections   when an election is due; standing, voting, winning and losing
    following   take the leader's rows, keep the promise, notice its end
    leadership  hold the lease, keep the term above everybody's, look after the database
    standby     whether the local standby is in, out, or not trusted for a while
    isolation   how long a primary may run beside a node that does not lead
    vip         the VIP on this host: seen, wanted, put right
    troubles    what is wrong here for as long as it lasts, told once
    ways_out    the command that ends a state in which the cluster waits for a person
    chores      what every node does all the time
    plan        runs one procedure at a time
    procedures  take over, step down, follow, rejoin, shut down: straight-line plans
    force       an operator's word in place of a majority that is gone
    leaving     being asked to end
    own_row     the one place where facts become claims
    speaking    save, then say
    settling    the state for people, where it follows from all the rest
    node        ties these together
    status      what `ahm_cluster_status` prints

The contract between the core and its world:

* Deadlines are applied before the event that came with them: a process that was stopped drops its
  lease before it reads its mail.
* Effects are performed in order.  `SaveState` is answered by `StateSaved` (or `StateSaveFailed`)
  when the disk has answered; until then no other one is asked for, and no row leaves the node whose
  term, vote, leader, record or claim is not on disk.
* An effect with a token is answered once by an event with that token; an answer to a token that
  is no longer waited for changes nothing.
"""
