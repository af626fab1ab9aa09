"""The conformance table: the states of 19.6.1, and all else that the manual says, with the tests.

A Row quotes the manual: its quotes are pieces of sentences of its section, in the manual's order.
A sentence that no row quotes is one that nobody has looked at, and a quote that is not found is
stale: test_table.py says both.  The parameters of 19.4.1 are in parameters.py.
"""

from typing import NamedTuple, Tuple

from .parameters import DECISIONS, REAL

STATE = 'tests/conformance/test_states.py::test_'
SAMPLE = 'tests/conformance/test_samples.py::test_'
PRINTED = 'tests/conformance/test_printed.py::test_'
WALK = 'tests/conformance/test_walk.py::test_the_walk_of_the_manual_from_step_3_to_the_last'
UNPACKED = 'tests/conformance/test_walk.py::test_steps_1_and_2_what_is_unpacked_has_the_commands_' \
    'and_the_samples'
STORY = 'tests/simulation/test_stories.py::test_'
FAILOVER = 'tests/integration/test_failover.py::test_'
FENCING = 'tests/integration/test_fencing.py::test_'
TWO = 'tests/integration/test_two_nodes.py::test_'
OPERATORS = 'tests/integration/test_operators.py::test_'
DAEMON = 'tests/integration/test_daemon.py::test_'
NODES = 'tests/unit/test_nodes_file.py::test_'
LOAD = 'tests/unit/test_config_load.py::test_'
ELECTION = STATE + 'an_election_and_its_winner'
INTERVALS = 'tests/simulation/test_intervals.py::test_simulated_failovers_take_as_long_as_is_' \
    'printed'
CONFIGURATION = SAMPLE + 'each_printed_configuration_loads_as_it_stands_value_for_value'
THERE_AND_BACK = OPERATORS + \
    'the_walk_of_the_manual_stop_the_primary_start_it_attach_it_promote_it_back'
SUDO = FENCING + 'the_sudoers_entry_allows_what_fencing_needs_and_nothing_else'

#: (kind, number, name) of a state -> the tests that show it.
STATES = {
    ('node', 0, 'DEAD'): (STATE + 'a_node_that_was_never_heard_is_dead_and_its_database_unknown',),
    ('node', 1, 'LOADING'): (STATE + 'a_node_that_is_loading_its_files_can_be_seen_by_nobody',),
    ('node', 2, 'INITIALIZING'): (STATE + 'a_node_that_has_not_looked_yet_is_initializing',),
    ('node', 3, 'PARTICIPATE_IN_ELECTION'): (ELECTION + '[PARTICIPATE_IN_ELECTION]',),
    ('node', 4, 'STAND_FOR_LEADER'): (ELECTION + '[STAND_FOR_LEADER]',),
    ('node', 5, 'LEADER'): (STATE + 'the_leader_has_the_primary_and_the_others_are_standbys',),
    ('node', 6, 'STANDBY'): (STATE + 'the_leader_has_the_primary_and_the_others_are_standbys',),
    ('node', 7, 'LOST'): (STATE + 'a_host_that_is_not_reached_is_lost',
                          STATE + 'a_standby_whose_database_failed_is_lost'),
    ('node', 8, 'WAITING_FOR_LEADER_FORMATION'): (
        STATE + 'without_a_leader_a_node_waits_for_one',),
    ('node', 9, 'TAKING_OVER'): (ELECTION + '[TAKING_OVER]',),
    ('node', 10, 'IN_RESOURCE_LIMITATION'): (
        STATE + 'without_a_valid_standby_a_node_is_in_resource_limitation',),
    ('node', 11, 'SHUTDOWN'): (STATE + 'a_node_that_says_goodbye_is_shut_down',),
    ('database', 0, 'UNKNOWN'): (
        STATE + 'a_node_that_was_never_heard_is_dead_and_its_database_unknown',),
    ('database', 1, 'PRIMARY'): (
        STATE + 'the_leader_has_the_primary_and_the_others_are_standbys',),
    ('database', 2, 'STANDBY'): (
        STATE + 'the_leader_has_the_primary_and_the_others_are_standbys',),
    ('database', 3, 'FAILED'): (STATE + 'a_standby_whose_database_failed_is_lost',),
    ('database', 4, 'QUARANTINED'): (
        STATE + 'a_database_that_only_others_reach_is_quarantined',
        OPERATORS + 'a_diverged_primary_is_refused_and_the_message_says_how_to_rebuild_it'),
    ('database', 5, 'NOT_CONFIGURED'): (STATE + 'a_witness_has_no_database',),
}


class Row(NamedTuple):
    """What the manual says in a section, and the tests that show that AHM does so.

    `owed`: why it does not do so yet; its tests are then expected to fail.
    """
    section: str
    what: str
    quotes: Tuple[str, ...]
    tests: Tuple[str, ...]
    owed: str = ''


STATEMENTS = (
    # Configuration
    Row('19.4', 'the configuration is YAML, in /usr/local/etc or where -f says',
        ('19.4 AHM 구성', 'AHM는 yaml 형식의 AHM 구성 파일이 필요합니다',
         '기본적으로 `/usr/local/etc/`', '`-f` 명령어를 사용하여'),
        (SAMPLE + 'without_f_the_configuration_is_where_the_manual_says', CONFIGURATION)),
    Row('19.4.1', 'the parameters: see above', ('19.4.1 ahm_config 파라미터 정보',),
        (SAMPLE + 'each_parameter_is_known_as_the_manual_spells_it',
         SAMPLE + 'the_defaults_in_the_table_of_the_parameters_are_the_products')),
    Row('19.4.2', 'a lost AHM: what the interval is made of, and 36 to 44 s',
        ('19.4.2 Ahm Failover Interval', '- AHM 장애시', '항목\t파라미터\t설정 값 (디폴트)',
         'beacon_message_interval_seconds\t8초 주기', 'beacon_message_retry_count\t2회 반복',
         'wait_for_primary_timeout_seconds\t20초', '약 36초 ~ 44초'),
        (SAMPLE + 'the_defaults_of_the_intervals_table_are_the_products',
         SAMPLE + 'the_printed_failover_intervals_are_kept',
         STORY + 'default_timings_beat_the_manual', INTERVALS + '[the manual-power-off]')),
    Row('19.4.2', 'a failed database: what the interval is made of, and 195 to 230 s',
        ('- Database 장애시', '항목\t파라미터\t설정 값 (디폴트)', 'health_check_period\t30초 주기',
         'db_connect_timeout\t5초', 'max_consec_failures\t5회',
         'wait_for_primary_timeout_seconds\t20초', '195초 ~ 230초', '----\t----'),
        (SAMPLE + 'the_defaults_of_the_intervals_table_are_the_products',
         SAMPLE + 'the_printed_failover_intervals_are_kept',
         STORY + 'default_timings_beat_the_manual', INTERVALS + '[the manual-hang-database]')),
    Row('19.4.2', 'the sample configuration, twice, loads as it stands',
        ('- **Example:**', '노드 별로 각각 진행', '-ahm_config.yml 구성', '> cat ahm_config.yml',
         '-Failover Script 구성', '> cat ahm_config.yml'),
        (CONFIGURATION + '[0]', CONFIGURATION + '[1]',
         SAMPLE + 'no_other_configuration_is_printed',
         SAMPLE + 'every_parameter_that_is_printed_somewhere_is_in_the_table_of_the_parameters')),
    Row('19.4.2', 'ahm -f FILE starts it', ('- **Ahm** 기동', '> ahm -f /home/agens/etc/'),
        (DAEMON + 'no_action_means_start',)),
    Row('19.4.3', 'nodes.conf has every node, one IP:PORT a line, comments are ignored',
        ('19.4.3 노드 구성', '모든 노드의 주소가 포함되어', '각 라인에 정확히 하나의 IP:PORT',
         'AHM 클러스터의 nodes.conf 파일은 다음과', '> cat nodes.conf'),
        (SAMPLE + 'each_printed_nodes_conf_is_read[19.4.3-> cat nodes.conf]',
         NODES + 'the_file_of_the_manual_and_the_sample_are_read',
         NODES + 'every_mistake_of_a_file_is_reported')),
    Row('19.4.3', 'it is looked for in the working directory, or where nodes_filename says',
        ('현재 작업 디렉토리에서 nodes.conf 파일을 찾고', '**nodes_filename** 구성 매개변수'),
        (LOAD + 'nodes_conf_is_looked_for_in_the_specified_order',
         DECISIONS + 'the_nodes_are_those_of_nodes_filename')),
    Row('19.4.3', 'one file serves all nodes: each finds its own entry',
        ('Note', '동일한 nodes.conf 파일을 사용해도', '로컬 노드에 대한 항목을 자동으로'),
        (LOAD + 'load_finds_the_nodes_and_this_one_among_them', WALK)),

    # Running it
    Row('19.5', 'the command line', ('19.5 AHM 실행', 'ahm binary를 실행하세요', 'Example:',
                                     '> ahm -f /home/agens/etc/ahm_config.yml'),
        (SAMPLE + 'the_usage_is_the_manuals_with_restart_and_reload',
         DAEMON + 'start_detaches_and_answers_at_once',
         DAEMON + 'stop_returns_when_the_daemon_is_gone[foreground]',
         DAEMON + 'debug_lets_all_severities_into_the_log')),
    Row('19.5', 'the help', ('명령줄 인수를 허용합니다', '`ahm -help`을', '> ahm -- help'),
        (SAMPLE + 'the_help_has_every_line_of_the_manuals[--help]',
         SAMPLE + 'the_help_has_every_line_of_the_manuals[-help]',
         DAEMON + 'help_is_the_specified_text')),
    Row('19.5', 'one nodes.conf serves all nodes, once more',
        ('Note', '동일한 `nodes.conf` 파일을 사용해도', '로컬 노드에 대한 항목을 자동으로'),
        (LOAD + 'load_finds_the_nodes_and_this_one_among_them', WALK)),

    # Utilities
    Row('19.6', 'status, shutdown, attach and promote',
        ('19.6 AHM 유틸리티', '모니터링 인터페이스를 제공합니다',
         '클러스터의 상태 확인, 클러스터 종료, Standby 노드를 attach'),
        (UNPACKED,)),
    Row('19.6.1', 'ahm_cluster_status, -h and -p', (
        '19.6.1 ahm_cluster_status', '현재 클러스터 상태를 제공합니다', '다음 옵션과 함께 사용할'),
        (PRINTED + 'each_utility_takes_the_options_of_the_manual[ahm_cluster_status]',
         PRINTED + 'the_options_say_which_daemon_is_asked')),
    Row('19.6.1', 'what it prints of two nodes', (
        '2개의 노드로 구성되어', '> ahm_cluster_status -p 9595 -h 210.104.181.42', '--'),
        (PRINTED + 'the_manuals_first_status_is_the_specifications_example',
         PRINTED + 'every_status_of_the_manual_is_printed_so[0]')),
    Row('19.6.1', 'the names and numbers of the states: see above',
        ('AHM 노드의 State-name', '데이터베이스의 state-name'),
        (STATE + 'the_names_and_numbers_are_the_manuals',)),
    Row('19.6.2', 'ahm_attach_node brings a node back', (
        '19.6.2 ahm_attach_node', '연결이 끊긴 ahm 노드를 클러스터에 연결해줍니다',
        'ahm_attach_node [Option...]', '-h, --host=', '-p, --port='),
        (OPERATORS + 'a_failed_standby_is_attached_again',
         PRINTED + 'each_utility_takes_the_options_of_the_manual[ahm_attach_node]')),
    Row('19.6.2', 'what it prints', ('> ahm_attach_node -h 210.104.181.78 -p 9595',),
        (PRINTED + 'each_utility_prints_the_two_lines_of_the_manual[ahm_attach_node]', WALK)),
    Row('19.6.3', 'ahm_shutdown_cluster ends all daemons and no database', (
        '19.6.3 ahm_shutdown_cluster', '데이터베이스를 중단하지 않고 모든 AHM 노드를 종료합니다',
        'ahm_shutdown_cluster'),
        (OPERATORS + 'the_cluster_is_shut_down_and_started_again_in_any_order_and_nothing_is_'
                     'promoted',
         PRINTED + 'each_utility_takes_the_options_of_the_manual[ahm_shutdown_cluster]')),
    Row('19.6.3', 'what it prints', ('> ahm_shutdown_cluster',),
        (PRINTED + 'each_utility_prints_the_two_lines_of_the_manual[ahm_shutdown_cluster]',)),
    Row('19.6.4', 'ahm_promote_node makes a node the new primary', (
        '19.6.4 ahm_promote_node', '새로운 Primary AgensSQL 서버로 promote',
        'ahm_promote_node [Option...]', '-h, --host=', '-p, --port='),
        (OPERATORS + 'a_switchover_under_load_loses_no_acknowledged_row',
         PRINTED + 'each_utility_takes_the_options_of_the_manual[ahm_promote_node]')),
    Row('19.6.4', 'what it prints', ('> ahm_promote_node -h 210.104.181.77 -p 9595',),
        (PRINTED + 'each_utility_prints_the_two_lines_of_the_manual[ahm_promote_node]',
         THERE_AND_BACK)),

    # Scenarios
    Row('19.7', 'a failure of the primary is found, and a standby becomes the primary', (
        '19.7 지원하는 **Failover** 시나리오', '**failover**의 발생을 탐지합니다',
        '매우 구체적이고 제한적입니다', '* **Failover** : Primary-Standby로 구성된',
        '- Failover 발생 할수 있는 상황'),
        (FAILOVER + 'kill_9_of_the_primary_database',)),
    Row('19.7', 'failover: the primary database crashed or ended',
        ('➔ Primary database가 충돌하거나 종료된 경우',),
        (FAILOVER + 'kill_9_of_the_primary_database', WALK)),
    Row('19.7', 'failover: its host crashed or cannot be reached',
        ('➔ Primary database를 hosting하는 노드가 충돌하거나',),
        (FAILOVER + 'power_off_of_the_primary_host',
         FAILOVER + 'isolation_of_the_primary_host_healed_after_twenty_seconds')),
    Row('19.7', 'no failover while the failure is not confirmed', (
        '정확성을 확인하기 위해 모든 시도', '**Failover** 작업을 수행하지 않습니다',
        '다음과 같은 **Failover** 시나리오를'),
        (STORY + 'one_reachable_verdict_stops_the_failover',
         FENCING + 'a_killed_ahm_without_a_fencing_script_promotes_nobody_and_is_reported')),
    Row('19.7.1', 'the AHM of the primary finds a failure and has it confirmed', (
        '19.7.1 Primary database is down', '장애를 감지하면 AHM은 장애 확인 프로세스를'),
        (DECISIONS + 'max_consec_failures_decides_how_many_checks_may_fail',)),
    Row('19.7.1', 'all AHMs try to connect to the primary database',
        ('모든 AHM이 Primary 데이터베이스에 직접 연결을 시도합니다',),
        (STORY + 'a_database_that_others_reach_is_quarantined_and_recovers',
         STATE + 'a_database_that_only_others_reach_is_quarantined')),
    Row('19.7.1', 'where none can, failover begins', ('연결할 수 있는 AHM이 없는 경우',),
        (FAILOVER + 'kill_9_of_the_primary_database',)),
    Row('19.7.1', 'the most recent standby runs the pre-promotion script, promotes its database '
        'and takes the VIP', ('최신 노드의 Standby AHM은 pre-promotion 스크립트',),
        (STORY + 'the_most_advanced_standby_wins_over_the_preferred_one',
         REAL + 'the_hooks_of_a_promotion_run_in_order',
         FAILOVER + 'kill_9_of_the_primary_database')),
    Row('19.7.1', 'recovery: repair the database, then ahm_attach_node', (
        '- 장애 노드 복구 방법', '1. 장애 발생한 노드에서',
        '2. 장애를 복구한 노드에서 `ahm_attach_node`'),
        (THERE_AND_BACK, WALK)),
    Row('19.7.1', 'back again: ahm_promote_node on the recovered node', (
        '- 복구 된 Standby Node를 Primary 로 재전환', 'Primary로 다시 변환 할 수',
        '`ahm_promote_node` 명령어를 호출하여'), (THERE_AND_BACK,)),
    Row('19.7.1', 'note: AHM rebuilds no failed primary by itself', (
        'Note', '재구축하여 Standby 상태로 만들지', '않습니다.'),
        (OPERATORS + 'a_diverged_primary_is_refused_and_the_message_says_how_to_rebuild_it',)),
    Row('19.7.1', 'note: see why it failed and whether the new primary has all data',
        ('모든 데이터를 사용할 수 있는지 확인',),
        (OPERATORS + 'a_diverged_primary_is_refused_and_the_message_says_how_to_rebuild_it',)),
    Row('19.7.1', 'note: the old data directory is removed and the server restored',
        ('이전 데이터 디렉토리를 제거하고', '**AgensSQL** 설명서를 참조하십시오'), (WALK,)),
    Row('19.7.2', 'the others are told, and the node reads LOST',
        ('19.7.2 Standby database is down', '노드를 **LOST** 상태로 표시합니다'),
        (OPERATORS + 'a_failed_standby_is_attached_again',
         STATE + 'a_standby_whose_database_failed_is_lost')),
    Row('19.7.2', 'after the repair ahm_attach_node brings it back',
        ('`ahm_attach_node` 명령을 호출하여 **standby**',),
        (OPERATORS + 'a_failed_standby_is_attached_again',)),
    Row('19.7.3', 'the leader crashes or its host fails: the standbys find out and fail over', (
        '19.7.3 Primary AHM exits or node fails', '**Standby** 노드는 장애를 감지하고'),
        (FAILOVER + 'power_off_of_the_primary_host',
         TWO + 'power_off_of_the_leaders_host_with_half_votes_and_fencing')),
    Row('19.7.3', 'all try the primary database; where it answers, the loss of its AHM is told',
        ('**Primary** 데이터베이스에 직접 연결하도록', '**Primary AHM**의 장애를 통지합니다'),
        (FENCING + 'a_killed_ahm_without_a_fencing_script_promotes_nobody_and_is_reported',)),
    Row('19.7.3', 'the most recent standby runs the fencing script, promotes and takes the VIP',
        ('**fencing** 스크립트(해당되는 경우)를 실행하고',),
        (FENCING + 'a_killed_ahm_its_primary_is_fenced_by_the_best_standby_which_takes_over',
         TWO + 'ahm_stop_on_the_leader_hands_over_to_the_standby')),
    Row('19.7.3', 'then the post-promotion script', ('**post-Promotion** 스크립트를 실행합니다',),
        (REAL + 'the_hooks_of_a_promotion_run_in_order',
         REAL + 'the_hooks_after_a_promotion_have_their_variables'
                '[post-POST_PROMOTION-AHM-NODE-1]')),
    Row('19.7.4', "the others miss a standby's AHM", (
        '19.7.4 Standby AHM exits or node fails', '클러스터에 연결되지 않음을 감지합니다'),
        (TWO + 'ahm_stop_of_the_standby_leaves_the_service_untouched',
         TWO + 'kill_9_of_the_standbys_ahm_leaves_the_service_untouched')),
    Row('19.7.4', 'they try its database', ('해당 STANDBY 데이터베이스에 연결을 시도합니다',),
        ('tests/conformance/test_scenarios.py::test_the_others_try_the_database_of_a_standby_whose_'
         'ahm_is_gone',)),
    Row('19.7.4', 'the node reads LOST', ('LOST 상태로 변경합니다',),
        (TWO + 'kill_9_of_the_standbys_ahm_leaves_the_service_untouched',
         STATE + 'a_host_that_is_not_reached_is_lost')),

    # The walk
    Row('19.8', 'two hosts, a VIP, and a user for replication', (
        '19.8 시나리오 Example', '- **AHM 구성**', '구성정보', 'Physical\tPrimary\tStandby',
        'IP\t210.104.181.77\t210.104.181.78', 'VIP\t210.104.181.42', 'Port\t5432', 'AGHOME\t',
        'PGDATA\t', 'Replication User\trepluser'), (WALK,)),
    Row('19.8', '1) unpack it', ('- 1) AHM 설치 진행', 'AHM 설치파일 압축해제', '$ tar -zxvf'),
        (UNPACKED,)),
    Row('19.8', '2) PATH', ('- 2) 환경 설정', '$ vi ~/.bash_profile'), (UNPACKED,)),
    Row('19.8', '2) sudo', ('agens User sudo 권한 추가', '$ vi /etc/sudoers'), (SUDO,)),
    Row('19.8', '2) ssh between the nodes', ('각 노드 간 SSH 설정 진행', 'ssh 설정'), (SUDO, WALK)),
    Row('19.8', '3) ahm_config.yml, the same on both nodes but for node_name', (
        '3) AHM Config 설정', 'AHM Config', '$ cp /home/agens/AHM/etc/ahm_config.yml.sample',
        'node_name 부분 이외 모두 동일하게 구성', '$ vi /home/agens/AHM/etc/ahm_config.yml'),
        (UNPACKED, CONFIGURATION + '[2]', WALK)),
    Row('19.8', '3) nodes.conf', ('Nodes Config', '$ cp nodes.conf.sample nodes.conf',
                                  '$ vi nodes.conf'),
        (UNPACKED, SAMPLE + 'each_printed_nodes_conf_is_read[19.8-$ vi nodes.conf]', WALK)),
    Row('19.8', '3) the fencing script', (
        'Fail-Over Script', '$ cp failover.sh.sample failover.sh', '$ vi failover.sh'),
        (UNPACKED, WALK,
         FENCING + 'a_killed_ahm_its_primary_is_fenced_by_the_best_standby_which_takes_over')),
    Row('19.8', '4) start AHM', ('4) AHM 기동 (각 노드에서 실행)', '$ nohup ahm -f'), (WALK,)),
    Row('19.8', '5) the status of a healthy cluster', (
        '5) 상태 확인', '$ Ahm_cluster_status -h', '정상적인 Primary-Standby 상태를'),
        (WALK, PRINTED + 'every_status_of_the_manual_is_printed_so[1]')),
    Row('19.8', 'database down, 1) ag_ctl stop', (
        '- **Primary Database 장애 시 Standby /Failover 기능**', '1) Primary Node DB Down',
        '$ ag_ctl stop'), (WALK,)),
    Row('19.8', 'database down, 2) node 1 reads FAILED, node 2 PRIMARY', (
        '2) FailOver 확인', '$ ahm_cluster_status -h', '1번 노드의 장애로 “FAILED” 상태로 변경'),
        (WALK, PRINTED + 'every_status_of_the_manual_is_printed_so[2]')),
    Row('19.8', 'back to normal, 1) ag_ctl start', (
        '- **Failover 노드 정상화**', '1) FAILED Node 정상화', '$ ag_ctl start'), (WALK,)),
    Row('19.8', 'back to normal, a damaged database is rebuilt by pg_basebackup',
        ('(DB 손상시 pg_basebackup를 이용하여',),
        (OPERATORS + 'a_diverged_primary_is_refused_and_the_message_says_how_to_rebuild_it',
         WALK)),
    Row('19.8', 'back to normal, 2) ahm_attach_node', ('2) AHM Attach 진행', '$ ahm_attach_node'),
        (WALK,)),
    Row('19.8', 'back to normal, 3) node 1 reads STANDBY', (
        '3) 상태 확인', '$ ahm_cluster_status -h', '“FAILED” 상태에서 정상화되면서 “STANDBY”',
        '[agens:/home/agens]#ahm_cluster_status'),
        (WALK, PRINTED + 'every_status_of_the_manual_is_printed_so[3]')),
    Row('19.8', 'AHM down, ahm stop on the primary', (
        '- **Primary AHM 장애 시 Standby /Failover** 기능', '- Primary Node AHM Down',
        '$ ahm stop'),
        (WALK, TWO + 'ahm_stop_on_the_leader_hands_over_to_the_standby')),
    Row('19.8', 'AHM down, node 2 reads LOST, node 1 LEADER', (
        '- FailOver 확인', '$ ahm_cluster_status -h', '2번 노드의 장애로 State "LOST"',
        'Database State는 의미 없습니다'),
        (WALK, PRINTED + 'every_status_of_the_manual_is_printed_so[4]')),
    Row('19.8', 'back to normal, 4) rm, pg_basebackup, ag_ctl start', (
        '- Failover 노드 정상화', '4) LOST Node DB 정상화', 'pg_basebackup를 이용하여 DB 복구',
        '$ rm -rf $PGDATA', '$ pg_basebackup -h 210.104.181.77 -D $AGDATA -U repluser',
        '$ ag_ctl start'), (WALK,)),
    Row('19.8', 'back to normal, 5) start AHM', ('5) AHM 기동 진행', '$ nohup ahm -f'), (WALK,)),
    Row('19.8', 'back to normal, 6) node 2 reads STANDBY', (
        '6) 상태 확인', '$ ahm_cluster_status -h', '“LOST” 상태에서 정상화되면서 “STANDBY”'),
        (WALK, PRINTED + 'every_status_of_the_manual_is_printed_so[5]')),
)
