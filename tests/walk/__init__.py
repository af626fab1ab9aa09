"""An exhaustive walk of `ahmlib/core/consensus`: see `world` for what it does and leaves out."""
