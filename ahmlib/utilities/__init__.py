"""The commands an operator types; one module a command, whose docstring is its usage.

`common` holds what they share: arguments, asking the daemon, exit codes.  bin/ holds nothing
but their entrances.
"""
