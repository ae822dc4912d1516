"""Phone providers: a file each, with everything of that provider and nothing of another.

Pure: messages, signatures, markup and requests are made and read here; the host sends them. To add
one, write its file (``twilio.py`` shows the most, ``exotel.py`` the least on a WebSocket;
``audiosocket.py`` is the only one on TCP) and add its name below. Import the records from
``table``.
"""

__all__ = ["NAMES"]

NAMES = (
    "twilio",
    "telnyx",
    "plivo",
    "vonage",
    "exotel",
    "jambonz",
    "voximplant",
    "asterisk",
    "audiosocket",
)
"""The files here that end in a ``PROVIDER``, in the order in which people are shown them."""
