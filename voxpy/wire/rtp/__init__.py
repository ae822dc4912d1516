"""RTP payloads and packets, without a socket."""
