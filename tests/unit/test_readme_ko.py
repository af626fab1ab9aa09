"""README.ko.md says in Korean what README.md says: the same sections, blocks, names and numbers.

Where one of them is changed and the other is not, this fails, and tells the section.
"""

import re

import pytest

from ahmlib.config.schema import PARAMETERS

from .documents import blocks, document

#: Heading of README.md -> that of README.ko.md, in this order.  What has none is not translated.
HEADINGS = {
    'How it works': '동작 방식',
    'What is there, and what is not': '있는 것과 없는 것',
    'Quick start: three nodes': '빠른 시작: 세 노드',
    '1. Install, on every node': '1. 설치(모든 노드)',
    '2. `/etc/ahm/nodes.conf`, the same on every node':
        '2. `/etc/ahm/nodes.conf`(모든 노드에서 동일)',
    '3. `/etc/ahm/ahm_config.yml`': '3. `/etc/ahm/ahm_config.yml`',
    '4. The service, and its rights to change addresses': '4. 서비스, 그리고 주소를 바꿀 권한',
    '5. Roles and `pg_hba.conf`': '5. 역할과 `pg_hba.conf`',
    '6. Check, then start: AHM before PostgreSQL': '6. 점검한 다음 기동: PostgreSQL보다 AHM 먼저',
    'Running it': '운영',
    'The commands': '명령',
    'Maintenance and pauses': '유지 보수와 일시 정지',
    'Other nodes': '다른 노드',
    'Restarts and new versions': '재기동과 새 버전',
    'Switchover': 'Switchover',
    'Files, log and notifications': '파일, 로그, 알림',
    'The variables of scripts': '스크립트의 변수',
    'Coming back after a failover': 'Failover 이후의 복구',
    'When a majority is gone for good': '과반수가 영구히 사라졌을 때',
    'Two nodes': '두 노드',
    'Limits': '한계',
    'From a checkout': '체크아웃에서',
}
#: For who reads on in README.md.
NOT_TRANSLATED = {'How fast', 'Trying it without a cluster', 'Pointers'}
#: What README.md writes out.
IN_WORDS = {'ten': '10', 'fifteen': '15', 'twenty': '20', 'half a minute': '30 s'}
NUMBER = re.compile(r'(?<![\w.])\d+(?:\.\d+)+|(?<![\w.])\d\d+(?![\dA-Za-z]|\.\d)')
HEADING = re.compile(r'^(##+) (.*)$', re.MULTILINE)
#: The manual of 1.0 has these words, so they are not other ones here.
WORDS = {'Primary', 'Standby', 'Witness', 'Failover', 'Successor', '리더', '과반수', '기동', '장애',
         '우선 순위', '가상 IP', 'Health check', '데이터 디렉터리', '구성', '유틸리티', '파라미터'}


def parts(name):
    """[(level, heading, text)] of a README; the head of it is level 1 without a heading."""
    found = HEADING.split(document(name))
    return [(1, '', found[0])] + [
        (len(marks), title, text) for marks, title, text in zip(
            found[1::3], found[2::3], found[3::3])]


ENGLISH = [part for part in parts('README.md') if part[1] not in NOT_TRANSLATED]
KOREAN = parts('README.ko.md')
PAIRS = list(zip(ENGLISH, KOREAN))

each_section = pytest.mark.parametrize('english, korean', PAIRS, ids=[
    pair[0][1].partition('`')[0].strip() or 'head' for pair in PAIRS])


def prose(text):
    """A text without its blocks, links and list of contents."""
    text = re.sub(r'^    .*$', '', text, flags=re.MULTILINE)
    text = re.sub(r'^(Contents|목차):.*?(?=\n\n|\Z)', '', text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r'^\(\[.*\]\(README[.\w]*\)\)$', '', text, flags=re.MULTILINE)
    return re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', text)


def spans(text):
    """What stands in backticks, sorted."""
    return sorted(' '.join(span.split()) for span in re.findall(r'`([^`]+)`', prose(text)))


def numbers(text):
    """The numbers in a text, outside of code: versions, seconds, ports; words of one digit are not
    counted, for languages write them in their own ways."""
    text = re.sub(r'`[^`]+`', '', prose(text))
    for word, number in IN_WORDS.items():
        text = re.sub(r'\b%s\b' % word, number, text)
    return sorted(set(NUMBER.findall(text)))


def test_the_sections_are_those_of_the_english_one_in_its_order():
    assert [(level, HEADINGS.get(title, title)) for level, title, _ in ENGLISH] == [
        (level, title) for level, title, _ in KOREAN]
    assert {title for _, title, _ in parts('README.md')} == {''} | set(HEADINGS) | NOT_TRANSLATED


@each_section
def test_a_section_shows_the_same_blocks(english, korean):
    assert blocks(korean[2]) == blocks(english[2])


@each_section
def test_a_section_has_the_same_names_in_code(english, korean):
    ours, theirs = spans(korean[2]), spans(english[2])
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)


@each_section
def test_a_section_names_the_same_numbers(english, korean):
    assert set(numbers(korean[2])) == set(numbers(english[2]))


@each_section
def test_a_section_has_as_many_rows_and_items(english, korean):
    for mark in (r'^\|', r'^- ', r'^\d\. '):
        assert len(re.findall(mark, korean[2], re.MULTILINE)) == len(
            re.findall(mark, english[2], re.MULTILINE)), mark


@each_section
def test_a_section_stresses_as_much(english, korean):
    assert korean[2].count('**') == english[2].count('**')


def test_every_parameter_that_the_english_one_names_is_named():
    english, korean = ' '.join(text for _, _, text in ENGLISH), document('README.ko.md')
    named = [row.name for row in PARAMETERS if re.search(r'\b%s\b' % row.name, english)]
    assert len(named) > 30
    assert [name for name in named if not re.search(r'(?<!\w)%s(?![a-z_])' % name, korean)] == []


def test_the_words_are_those_of_the_manual():
    manual, korean = document('tests', 'data', 'manual.ko.txt'), document('README.ko.md')
    assert [word for word in WORDS if word not in korean] == []
    assert [word for word in ('Primary', 'Standby', 'Witness', 'Failover', '리더', '기동', '장애')
            if word not in manual] == []


def test_each_readme_links_to_the_other():
    assert '](README.ko.md)' in document('README.md') and '](README.md)' in document('README.ko.md')
