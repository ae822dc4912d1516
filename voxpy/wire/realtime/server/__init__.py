"""The server's side of a realtime session, without a socket."""
