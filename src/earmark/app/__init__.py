"""Use cases: a request in, events on the way, a typed result out. The command line draws them."""
