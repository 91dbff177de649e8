"""A bridge on another machine over SSH: started, watched, tunnelled and ended. Imports `client`
and `processes`; `agent` is what runs over there, with the standard library and `supervise`
alone."""
