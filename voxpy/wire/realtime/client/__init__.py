"""The client's side of a realtime session, without a socket."""
