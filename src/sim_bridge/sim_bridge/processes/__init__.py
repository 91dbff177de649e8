"""Child processes: how all of them are started, watched and ended, bridges by the dozen, and
tests'. `supervise` needs the standard library alone."""
