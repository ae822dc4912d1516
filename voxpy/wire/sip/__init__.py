"""SIP (RFC 3261) without a socket: messages, digests, transactions and dialogs, in both roles."""
