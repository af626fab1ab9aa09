"""The parameters of the conformance table: each one of ahm_config.yml, and what shows its effect.

The rest of the table is in statements.py.  test_table.py compares both with the manual and with the
schema; ignored.py runs each test with its parameter ignored, and sees that it fails.
"""

DECISIONS = 'tests/unit/test_parameters_decisions.py::test_'
COMMANDS = 'tests/unit/test_parameters_commands.py::test_'
FILES = 'tests/integration/test_parameters_files.py::test_'
REAL = 'tests/integration/test_parameters.py::test_'

VIP = COMMANDS + 'the_vip_is_raised_looked_for_and_dropped_by_the_configured_commands'
ELSEWHERE = COMMANDS + 'without_a_conn_string_and_elsewhere_the_database_parameters_say_how'
LOG = FILES + 'log_severity_is_the_least_that_is_logged_and_log_verbose_lets_all_through'
CONNINFO = COMMANDS + \
    'primary_conninfo_has_the_names_the_port_and_the_options_of_the_configuration'
OWN_COMMANDS = REAL + 'a_database_with_commands_of_its_own_is_stopped_and_started_by_them'
RECOVERY = REAL + 'restore_command_and_the_other_recovery_settings_are_those_of_the_repointed_node'
ARCHIVE = REAL + 'restore_command_and_archive_cleanup_command_are_run_by_the_database'
ISOLATED = REAL + \
    'an_isolated_primary_is_stopped_or_not_and_trusted_servers_say_when_it_is_one'

#: Parameter -> the tests that show its effect.  Each of them fails where AHM ignores it.  First
#: those of the manual, in its order, and log_severity, which stands in its samples only.
PARAMETERS = {
    'conn_string': (COMMANDS + 'the_own_database_is_reached_by_conn_string',),
    'node_name': (DECISIONS + 'node_name_is_what_the_others_call_a_node', CONNINFO),
    'nodes_filename': (DECISIONS + 'the_nodes_are_those_of_nodes_filename',),
    'is_witness': (DECISIONS + 'is_witness_says_that_a_node_has_no_database',),
    'priority': (DECISIONS + 'priority_decides_between_equal_standbys',),
    'ahm_port': (FILES + 'ahm_port_is_the_beacons',),
    'ipc_port': (FILES + 'ipc_port_is_the_utilities',),
    'data_dir': (FILES + 'data_dir_has_the_files_and_socket_dir_the_socket',),
    'socket_dir': (FILES + 'data_dir_has_the_files_and_socket_dir_the_socket',),
    'log_filename': (FILES + 'log_filename_is_where_the_log_is',),
    'log_prefix': (FILES + 'log_prefix_starts_every_line',),
    'log_verbose': (LOG,),
    'log_severity': (LOG,),
    'health_check_period': (
        DECISIONS + 'health_check_period_decides_how_often_the_database_is_looked_at',),
    'max_consec_failures': (
        DECISIONS + 'max_consec_failures_decides_how_many_checks_may_fail',),
    'db_user': (ELSEWHERE, CONNINFO),
    'db_database': (ELSEWHERE,),
    'db_port': (ELSEWHERE, CONNINFO),
    'db_bin_dir': (COMMANDS + 'db_bin_dir_is_where_the_control_program_is',),
    'db_data_dir': (COMMANDS + 'db_data_dir_is_where_standby_signal_is_left',),
    'db_config_dir': (COMMANDS + 'db_config_dir_is_what_the_server_is_started_with',),
    'pre_promotion_command': (
        DECISIONS + 'only_with_a_pre_promotion_command_is_a_primary_that_answers_fenced',
        COMMANDS + 'a_promotion_hook_runs_with_its_words_and_variables[pre_promotion_command]',
        REAL + 'the_hooks_of_a_promotion_have_their_variables[pre-PRE_PROMOTION]'),
    'promotion_command': (
        COMMANDS + 'promotion_command_runs_in_place_of_pg_ctl',
        REAL + 'the_hooks_of_a_promotion_have_their_variables[promotion-PROMOTION]'),
    'post_promotion_command': (
        COMMANDS + 'a_promotion_hook_runs_with_its_words_and_variables[post_promotion_command]',
        REAL + 'the_hooks_after_a_promotion_have_their_variables[post-POST_PROMOTION-AHM-NODE-1]'),
    'virtual_IP': (DECISIONS + 'only_with_a_virtual_ip_is_there_one_to_hold', VIP),
    'if_cmd_path': (VIP,),
    'if_up_cmd': (VIP,),
    'if_down_cmd': (VIP,),
    'arping_cmd': (COMMANDS + 'the_vip_is_announced_by_arping_cmd_out_of_arping_path',
                   REAL + 'arping_cmd_announces_the_vip'),
    'arping_path': (COMMANDS + 'the_vip_is_announced_by_arping_cmd_out_of_arping_path',),
    'ping_path': (COMMANDS + 'the_vip_is_pinged_by_the_ping_of_ping_path',),
    'follow_command': (
        COMMANDS + 'follow_command_does_all_the_following',
        REAL + 'follow_command_runs_in_place_of_what_ahm_would_write'),
    'service_restart_command': (
        'tests/integration/test_daemon_reload.py::test_restart_runs_the_service_managers_command_'
        'where_there_is_one',),
    'restore_command': (
        COMMANDS + 'commands_of_the_recovery_settings[restore]', RECOVERY, ARCHIVE),
    'archive_cleanup_command': (
        COMMANDS + 'commands_of_the_recovery_settings[archive_cleanup]', RECOVERY, ARCHIVE),
    'use_recovery_min_apply_delay': (
        COMMANDS + 'recovery_min_apply_delay_is_written_where_it_is_used', RECOVERY,
        REAL + 'recovery_min_apply_delay_delays_what_clients_see'),
    'recovery_min_apply_delay': (
        COMMANDS + 'recovery_min_apply_delay_is_written_where_it_is_used', RECOVERY,
        REAL + 'recovery_min_apply_delay_delays_what_clients_see'),
    'db_connect_timeout': (
        DECISIONS + 'db_connect_timeout_is_what_a_check_of_a_hung_database_takes',),
    'primary_conninfo_options': (CONNINFO, REAL + 'primary_conninfo_options_are_in_force'),
    'standby_startup_delay': (
        COMMANDS + 'standby_startup_delay_is_waited_for_before_a_repointed_standby_is_started',
        REAL + 'standby_startup_delay_passes_after_a_stopped_server_was_pointed_to_its_new_'
               'primary'),
    'use_pg_rewind': (
        COMMANDS + 'use_pg_rewind_allows_a_rewind',
        'tests/integration/test_operators.py::test_a_diverged_primary_is_rewound_where_that_is_'
        'allowed'),
    'beacon_message_interval_seconds': (
        DECISIONS + 'beacon_message_interval_seconds_decides_how_fast_a_host_is_missed',),
    'beacon_message_retry_count': (
        DECISIONS + 'beacon_message_retry_count_decides_how_many_beacons_may_be_missed',),
    'promote_leader_timeout_seconds': (
        DECISIONS + 'promote_leader_timeout_seconds_decides_how_long_promotion_may_take',),
    'wait_for_primary_timeout_seconds': (
        DECISIONS + 'wait_for_primary_timeout_seconds_decides_how_long_a_starting_cluster_waits_'
                    'for_one',
        DECISIONS + 'wait_for_primary_timeout_seconds_decides_how_long_an_answering_vip_is_'
                    'waited_for'),
    'pid_file_name': (FILES + 'pid_file_name_is_the_name_in_data_dir',),
    'failover_consensus_with_half_votes': (
        DECISIONS + 'failover_consensus_with_half_votes_lets_one_of_two_nodes_take_over',),

    # Beyond the manual.
    'multicast_group': (FILES + 'beacons_go_to_multicast_group_with_multicast_ttl',),
    'multicast_interface': (FILES + 'multicast_interface_is_the_one_that_is_used',),
    'multicast_ttl': (FILES + 'beacons_go_to_multicast_group_with_multicast_ttl',),
    'http_port': (FILES + 'http_port_is_the_health_checks',),
    'http_listen_address': (FILES + 'http_listen_address_is_the_only_one_for_http',),
    'listen_address': (FILES + 'listen_address_is_the_only_one_that_is_listened_at',),
    'if_check_cmd': (VIP,),
    'notification_command': (
        COMMANDS + 'notification_command_runs_at_what_is_worth_it_and_says_what',
        REAL + 'notification_command_runs_at_events_with_its_variables'),
    'db_start_command': (COMMANDS + 'db_start_command_runs_in_place_of_pg_ctl', OWN_COMMANDS),
    'db_stop_command': (COMMANDS + 'db_stop_command_runs_before_any_signal', OWN_COMMANDS),
    'db_restart_command': (
        COMMANDS + 'db_restart_command_restarts_the_standby',
        COMMANDS + 'db_restart_command_restarts_a_server_on_request'),
    'db_start_at_boot': (
        DECISIONS + 'db_start_at_boot_decides_whether_a_server_is_started_once_its_host_has_booted',
        'tests/integration/test_boot.py::test_after_a_power_cut_of_all_every_server_is_started_as_'
        'what_it_was'),
    'hook_timeout_seconds': (
        DECISIONS + 'hook_timeout_seconds_decides_how_long_a_hook_may_take',
        COMMANDS + 'hook_timeout_seconds_ends_a_notification_command',
        REAL + 'a_notification_command_that_hangs_is_killed_after_hook_timeout_seconds'),
    'db_failure_action': (
        DECISIONS + 'db_failure_action_decides_whether_the_database_is_started_again_first',
        'tests/integration/test_operators.py::test_a_failed_primary_is_restarted_in_place_where_'
        'that_is_configured'),
    'synchronous_mode': (
        DECISIONS + 'synchronous_mode_decides_what_commits_wait_for',
        'tests/integration/test_synchronous_mode.py::test_strict_commits_wait_while_too_few_'
        'standbys_are_there'),
    'synchronous_node_count': (
        DECISIONS + 'synchronous_node_count_decides_how_many_standbys_confirm_a_commit',),
    'failover_lag_limit_bytes': (
        DECISIONS + 'a_standby_behind_by_more_than_failover_lag_limit_bytes_is_not_promoted',),
    'auto_attach': (
        DECISIONS + 'auto_attach_takes_a_repaired_standby_back',
        REAL + 'only_where_auto_attach_is_on_a_repaired_standby_comes_back_by_itself'),
    'replication_user': (
        COMMANDS + 'replication_user_is_the_user_of_primary_conninfo',
        REAL + 'replication_user_is_who_streams'),
    'trusted_servers': (
        DECISIONS + 'trusted_servers_decide_who_is_isolated_where_half_the_votes_suffice',
        COMMANDS + 'trusted_servers_are_those_that_are_pinged', ISOLATED),
    'stop_isolated_primary': (
        DECISIONS + 'stop_isolated_primary_decides_whether_the_database_is_stopped_as_well',
        ISOLATED),
}

#: Parameters that are read and checked, and have no effect yet; README.md says so, too.
WITHOUT_EFFECT = ('auth_key_file', 'watchdog_device', 'watchdog_mode')
