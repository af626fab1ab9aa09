"""Packaging of AHM: its package (`ahmlib`), and in bin/ the daemon (`ahm`) and the utilities."""

import os
import re

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))
COMMANDS = sorted(os.path.join('bin', name) for name in os.listdir(os.path.join(HERE, 'bin')))
CONFIGURATION = sorted(os.path.join('conf', name) for name in os.listdir(os.path.join(HERE, 'conf'))
                       if os.path.isfile(os.path.join(HERE, 'conf', name)) and name != 'ahm.spec')
DOCUMENTS = sorted(os.path.join('docs', name) for name in os.listdir(os.path.join(HERE, 'docs')))
PAGES = sorted(name for name in os.listdir(os.path.join(HERE, 'man')) if name[-2:-1] == '.')


def read(*names):
    """The text of a file of the project."""
    with open(os.path.join(HERE, *names), encoding='utf-8') as source:
        return source.read()


setup(
    name='ahm',
    version=re.search(r"__version__ = '([^']+)'", read('ahmlib', '__init__.py')).group(1),
    description='Failover manager for PostgreSQL, AgensSQL and AgensGraph',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['ahmlib', 'ahmlib.*']),
    package_data={'ahmlib.http': ['ui.html']},
    scripts=COMMANDS,
    data_files=[('share/ahm', CONFIGURATION),
                ('share/ahm/prometheus', ['conf/prometheus/ahm.rules.yml']),
                ('share/doc/ahm', ['README.md', 'README.ko.md', 'CHANGELOG.md']),
                ('share/doc/ahm/docs', DOCUMENTS)]
    + [('share/man/man' + name[-1], [os.path.join('man', name)]) for name in PAGES],
    python_requires='>=3.6',
    install_requires=['PyYAML>=5.1', 'psycopg2-binary>=2.8', 'msgpack>=0.6', 'docopt>=0.6.2'],
    extras_require={'tests': ['pytest>=7.0', 'hypothesis>=6.31']},
    classifiers=['Programming Language :: Python :: 3', 'Operating System :: POSIX :: Linux',
                 'Topic :: Database', 'Topic :: System :: Clustering'],
)
