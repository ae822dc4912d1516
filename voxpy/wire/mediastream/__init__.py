"""How phone providers carry a call's audio over a WebSocket (or TCP): one adapter per provider."""
