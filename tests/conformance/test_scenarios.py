"""What 19.7 says of the manual's scenarios and no other test shows."""

from .configured import world


def test_the_others_try_the_database_of_a_standby_whose_ahm_is_gone(tmp_path):
    """19.7.4: they try to connect to it, and mark the node as LOST."""
    cluster = world(tmp_path)
    cluster.crash(2)
    cluster.run(20)
    assert cluster.hosts[0].node.consensus.members.row(2) is not None
    said = [line for line in cluster.trace if 'the database of AHM-NODE-3' in line]
    assert {line.split()[1] for line in said} == {'AHM-NODE-1', 'AHM-NODE-2'}
