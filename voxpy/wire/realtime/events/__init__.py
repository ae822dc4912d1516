"""The events of the Realtime protocol, and the objects they carry."""
