"""Values that are not simply what was written: relative paths, and defaults that depend on other
parameters or on the environment.
"""

import os
import shutil
from typing import Any, Dict, Mapping, Optional

from ahmlib.config.kinds import PATH
from ahmlib.config.place import absolute
from ahmlib.config.schema import PARAMETERS, Derived, Parameter
from ahmlib.database import conninfo

Values = Dict[str, Any]          # attribute name -> value
Environ = Mapping[str, str]

CONTROL_PROGRAMS = ('ag_ctl', 'pg_ctl')


def resolve(values: Values, directory: str, environ: Environ) -> None:
    """Complete `values` (attribute -> value) in place.

    `directory` is that of the configuration file: relative paths are relative to it, except that
    a log file lies in data_dir.  Absolute paths stay as they were written.
    """
    paths = [parameter.attribute for parameter in PARAMETERS if parameter.kind is PATH]
    for name in paths:
        if values[name] is not None and name != 'log_filename':
            values[name] = absolute(values[name], directory)
    if values['log_filename'] is not None:
        values['log_filename'] = absolute(values['log_filename'], values['data_dir'])
    for name, derive in DERIVED:
        if values[name] is None:
            values[name] = derive(values, environ)


def initial(parameter: Parameter) -> Any:
    """A parameter's value before anything is read or derived."""
    return None if isinstance(parameter.default, Derived) else parameter.default


def control_program(directory: str) -> Optional[str]:
    """The path of ag_ctl or pg_ctl in `directory`, or None."""
    for program in CONTROL_PROGRAMS:
        path = os.path.join(directory, program)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _conn_string(values: Values, environ: Environ) -> str:
    del environ
    return 'host=localhost port=%d dbname=%s user=%s' % (
        values['db_port'], conninfo.quote(values['db_database']),
        conninfo.quote(values['db_user']))


def _http_listen_address(values: Values, environ: Environ) -> Optional[str]:
    del environ
    return values['listen_address']


def _db_bin_dir(values: Values, environ: Environ) -> Optional[str]:
    del values
    if environ.get('AGHOME'):
        return os.path.join(environ['AGHOME'], 'bin')
    for program in CONTROL_PROGRAMS:
        path = shutil.which(program, path=environ.get('PATH') or os.defpath)
        if path:
            return os.path.dirname(os.path.abspath(path))
    return None


def _db_data_dir(values: Values, environ: Environ) -> Optional[str]:
    del values
    return environ.get('PGDATA') or environ.get('AGDATA') or None


def _db_config_dir(values: Values, environ: Environ) -> Optional[str]:
    del environ
    return values['db_data_dir']


# In this order: a later one may build on an earlier one.  nodes_filename is found by the loader;
# listen_address and replication_user depend on more than the configuration and stay None.
DERIVED = (
    ('conn_string', _conn_string),
    ('http_listen_address', _http_listen_address),
    ('db_bin_dir', _db_bin_dir),
    ('db_data_dir', _db_data_dir),
    ('db_config_dir', _db_config_dir),
)
