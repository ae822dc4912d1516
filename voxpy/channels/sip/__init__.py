"""SIP phones, PBXs and trunks: calls in and out over UDP, TCP and TLS, with RTP media."""
