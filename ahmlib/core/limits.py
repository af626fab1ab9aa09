"""How long what is asked of this host may take, and how long a procedure waits for others.

One table: who reads it sees at once how long each step can last.  The limits of a failover that
follow from the timings are in `consensus/timing.py`, and those that operators choose are settings.
A limit here is long enough for a healthy host under load; whatever is still not done then has
failed, and is tried again or said.
"""

# -- the VIP ---------------------------------------------------------------------------------------
#: One command of the operator that raises, lowers or announces it.
VIP_COMMAND_SECONDS = 10.0
#: For a ping to end by itself, on a busy host too; silence shows after 1 s.
PING_SECONDS = 3.0
#: For a stranger to answer, on the same network, where the old leader says that it dropped the VIP.
STRANGER_SECONDS = 0.3

# -- the database ----------------------------------------------------------------------------------
#: What is on the disk of a database that may be down.
INSPECT_SECONDS = 10.0
CHECKPOINT_SECONDS = 120.0
#: A fast stop: sessions are ended, a checkpoint is written, standbys get the last of the WAL.
FAST_STOP_SECONDS = 30.0
#: An immediate one, of a server that does not answer any more.
IMMEDIATE_STOP_SECONDS = 5.0
#: A start with recovery after a crash, where others can take over if it takes longer.
START_SECONDS = 60.0
#: One where nobody else is to take over: of a primary that an operator had stopped.
START_PRIMARY_SECONDS = 120.0
#: Stop and start together, where an operator asks for them: unless he says how long, and at most.
RESTART_SECONDS = FAST_STOP_SECONDS + START_PRIMARY_SECONDS
RESTART_SECONDS_MAX = 86400
#: standby.signal.
SIGNAL_FILE_SECONDS = 10.0
#: A setting is written, the server reloads it, and a new session shows it.
SET_SYNCHRONOUS_SECONDS = 10.0
#: A standby is pointed at another primary, and restarted if it has to be.
FOLLOW_SECONDS = 120.0
#: A database that was a primary comes back as a standby without a rewind.
COME_BACK_SECONDS = 120.0
#: A rewind reads the whole of both data directories at worst.
ATTACH_SECONDS = 3600.0
#: A rebuild copies all of the primary; one that does not get on is ended sooner.
REBUILD_SECONDS = 7 * 86400.0

# -- giving up a role ------------------------------------------------------------------------------
#: One try of a step of it, where nothing is in a hurry any more.
PATIENT_SECONDS = 10.0
#: For the other nodes to hear a goodbye.
GOODBYE_SECONDS = 1.0

# -- waiting for other nodes -----------------------------------------------------------------------
#: The target of a switchover catches up before anything is stopped.
KEEP_UP_SECONDS = 30.0
#: It receives and replays the last of the WAL.
RECEIVE_SECONDS = 10.0
#: A standby that follows is seen to stream.
SEEN_SECONDS = 15.0

# -- rehearsals ------------------------------------------------------------------------------------
#: For the programs that one of a takeover asks, and for what one of a handover asks.
REHEARSE_SECONDS = 5.0
REHEARSE_HANDOVER_SECONDS = 10.0
