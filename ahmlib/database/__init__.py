"""The database beside this node: probing, starting, stopping, promoting and re-pointing it.

Every public function of these modules blocks, and runs in a forked child of the daemon that
has a deadline of its own.  What the daemon asks for returns a NamedTuple of plain values, which
crosses to the daemon as a dict (`runtime.child_side`).  None of them may be called from the
daemon's loop.  In reading order:

    settings    DatabaseSettings, what all of them are told
    control     where the server lives: pg_ctl or ag_ctl, postmaster, processes, owner
    driver      psycopg2, loaded without what it does not need
    connection  one new psycopg2 connection that keeps a deadline in fractions of a second
    startup     the first packet of PostgreSQL's protocol by hand, to learn why we are refused
    identity    is the server that answers the one of db_data_dir?
    probe       is a database there, and what does it say of itself?
    control_file  what the file pg_control says of a server that does not run
    wal_end     where the WAL ends that a standby has on disk (with wal_page and crc32c)
    replay, sync_names  whether a standby's replay can go on; who confirms a primary's commits
    archiver    what a fast shutdown waits for last
    stop, start, checkpoint, promotion (with withdrawal), recovery (with conffile and conninfo),
    follow
    wal, history  its WAL files; the primary's timelines, and whether ours is on them
    lineage     whether what it wrote on them is what the primary has
    settings_in_force   which recovery settings are in force, and where they are set
    slots       which replication slots a standby needs, and which only keep WAL
    monitored   what monitors are told of the WAL directory
    streaming, follow_stream, rewind, attach (with attach_job and attach_stream)
                        making it a standby again, seen to stream

Nothing here is imported by the decision core, and psycopg2 only inside functions.
"""
