"""The configuration: ahm_config.yml and nodes.conf, read, checked as a whole, and explained.

    schema.py      the table of all parameters; parsing, limits, sample and manual follow from it
    kinds.py       what a value may be, how it is read and how it is written
    libpq.py       the keywords of a connection string
    rules.py       relations between parameters: refused, or warned about
    document.py    YAML text to (key, value, line)
    defaults.py    relative paths and defaults that depend on the environment
    nodes_file.py  nodes.conf
    host.py        what can only be checked on the host itself
    loader.py      load(): all of the above, every mistake reported at once
    timing.py      the intervals that follow from a configuration
    sample.py      prints conf/ahm_config.yml.sample
    manual_page.py, manual_frame.py    print man/ahm_config.yml.5

Other modules need `loader.load`, `loader.ConfigError`, `schema.PARAMETERS` and `timing`.
"""
