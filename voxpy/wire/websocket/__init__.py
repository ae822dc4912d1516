"""WebSocket (RFC 6455) as bytes in, messages out: frames, both roles, and the opening handshake."""
