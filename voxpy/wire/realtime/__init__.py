"""OpenAI's GA Realtime protocol with Inworld's extensions, in both roles, without a socket."""
