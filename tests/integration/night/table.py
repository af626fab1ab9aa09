"""Each night: the kind of its trouble, and what ahm_check_config says of it beside the daemon.

Where a configuration, or a setting of a server, is the cause, the check has to name it by its code,
for whoever reads of a trouble runs it next.  Where it cannot, the reason is told: there are no
other nights.  `tests/unit/test_nights.py` compares that each kind has its section in
docs/runbook.md, and that this table is complete.
"""

from typing import NamedTuple, Tuple


class Night(NamedTuple):
    """What is to be read in one night."""

    #: The kind of its trouble: that of the status, the cause of its events, the heading in the
    #: runbook.  '' where no node has a trouble: then `section` is the heading.
    kind: str
    #: What ahm_check_config tells of it, on the node that is in trouble, as worse than OK.
    codes: Tuple[str, ...] = ()
    #: Why it tells nothing of it, where it does not.
    unseen: str = ''
    #: With what else it is run.
    words: Tuple[str, ...] = ()
    section: str = ''

    @property
    def heading(self) -> str:
        """The section of the runbook."""
        return self.section or self.kind


CLUSTER = ('--cluster',)

#: By the name of the test; of one with parameters by that with its id, where these differ.
NIGHTS = {
    # A server that hangs or is down is nobody's setting; that it does not answer is told.
    'test_a_primary_that_hangs_and_has_not_failed_yet': Night('checks', ('db-answers',)),
    'test_a_standby_that_is_down_is_told_before_it_counts_as_failed': Night(
        'checks', ('db-answers',)),
    'test_all_standbys_out_and_then_the_primary': Night('down', ('db-answers', 'one-primary')),
    'test_no_leader_since_all_daemons_were_started_anew_without_the_primary': Night(
        '', ('db-answers', 'one-primary'), section='Nobody leads'),

    'test_a_password_that_is_not_valid_any_more': Night('quarantined', ('db-answers',)),
    'test_a_standby_whose_pg_hba_conf_refuses_the_role': Night('quarantined', ('db-answers',)),
    'test_a_replay_that_somebody_has_paused': Night('replay', ('replay',)),
    'test_max_connections_raised_everywhere_but_on_one_standby': Night(
        'replay', ('replay', 'standby-settings')),
    'test_a_standby_whose_way_to_the_primary_is_wrong': Night('not streaming', ('streaming',)),
    'test_a_standby_whose_slot_is_missing_on_the_primary': Night(
        'not streaming', ('streaming', 'primary-slot')),
    'test_a_standby_whose_wal_is_gone_is_rebuilt_by_the_command_that_is_named': Night(
        'not streaming', ('streaming',)),
    'test_commits_that_wait_for_a_standby_that_is_gone': Night('commits', ('sync-names',)),

    'test_a_script_that_is_needed_at_the_next_takeover_only_and_is_not_there': Night(
        'takeover', ('takeover',)),
    'test_a_command_whose_program_cannot_be_run[if_up_cmd]': Night('takeover', ('takeover',)),
    'test_a_command_whose_program_cannot_be_run[if_down_cmd]': Night('takeover', ('takeover',)),
    'test_a_command_whose_program_cannot_be_run[arping_cmd]': Night(
        'takeover', ('takeover-lacks',)),
    'test_a_command_whose_program_cannot_be_run[pre_promotion_command]': Night(
        'takeover', ('takeover',)),
    'test_a_command_whose_program_cannot_be_run[post_promotion_command]': Night(
        'takeover', ('takeover-lacks',)),
    'test_a_vip_that_would_be_raised_on_an_interface_that_is_not_there': Night(
        'takeover', ('takeover',)),
    'test_a_ping_that_is_missing_or_lies': Night('takeover', ('takeover',)),
    'test_a_standby_whose_pg_hba_conf_would_not_let_the_primary_in': Night(
        'handover', ('standby-refused',)),
    'test_a_primary_on_which_ahm_may_not_order_a_checkpoint': Night('handover', ('checkpoint',)),
    'test_an_archive_command_that_fails': Night('archiver', ('archiver',)),
    'test_a_vip_that_somebody_else_has_too': Night('vip', unseen='a host that is none of the '
                                                   'cluster has the address: no file says so'),

    'test_two_nodes_of_one_name': Night('names', ('node-names',), words=CLUSTER),
    'test_a_beacon_port_that_somebody_else_uses': Night(
        '', ('ports',), section='The daemon does not start, or ends'),
    'test_a_nodes_conf_that_is_changed_node_by_node': Night('foreign', ('nodes-changed',)),
    'test_a_node_that_has_never_run_before_and_has_another_nodes_conf': Night(
        'foreign', ('same-cluster',), words=CLUSTER),
    'test_the_order_in_which_nodes_conf_is_changed_without_an_outage': Night(
        '', unseen='nothing is wrong: it shows that the order which is named works',
        section='foreign'),

    'test_a_pid_file_and_a_socket_that_a_cleaner_removed': Night(
        '', unseen='both are there again before anybody asks', section='own files'),
    'test_a_data_dir_in_which_the_pid_file_cannot_be_made_anew': Night(
        'own files', ('data-dir',)),
    'test_a_file_of_somebody_else_in_the_place_of_the_pid_file': Night(
        'own files', unseen='the file of somebody else is no setting: whether a daemon runs is '
        'told by it'),
    'test_a_data_dir_in_which_nothing_can_be_written': Night('state', ('data-dir',)),
}


def night_of(name: str) -> Night:
    """The Night of a test, by its name with the id of its parameters."""
    return NIGHTS.get(name) or NIGHTS[name.partition('[')[0]]
