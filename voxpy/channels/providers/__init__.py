"""Phone providers that bring calls as media streams: data and functions, no socket."""
