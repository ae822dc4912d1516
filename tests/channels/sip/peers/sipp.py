"""sipp as a phone that follows a script to the letter, wrong ones too.

A script reads as a transcript, and is written out as the XML that sipp wants::

    ">INVITE <200 >ACK .500 >BYE <200"

``>`` sends, ``<`` waits for, ``.`` pauses for milliseconds. A number answers the request that came
last, ``>200:INVITE`` the INVITE before that. Requests of one method are all the same one, as the
network repeats it. sipp takes no notice of what comes again: ``<200*3`` is for us to count, when it
is done. ``~`` streams mu-law.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.channels.sip.peers.processes import WAIT_S, free_ports, running, until

SHORT = '''
"""Answer, and hang up half a second later."""
import trio
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    await event.call.wait_event(CallEvents.Connected)
    await trio.sleep(0.5)
    event.call.hangup()
'''
BODY = """
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [%s] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
"""
REQUEST = """
%(line)s
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-%(branch)s
From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>%(tag)s
Call-ID: [call_id]
CSeq: %(number)s %(method)s
Contact: <sip:sipp@[local_ip]:[local_port]>
%(routes)sMax-Forwards: 70
"""
ANSWER = """
SIP/2.0 %(status)s Of sipp
%(back)s
[last_From:]
[last_Call-ID:]
Contact: <sip:sipp@[local_ip]:[local_port]>
"""
BACK = "[last_Via:]\n[last_To:]%s\n[last_CSeq:]"
BACK_TO_EARLIER = "Via:[$Via]\nTo:[$To]%s\nCSeq:[$CSeq]"
KEEP = "".join(
    f'<ereg regexp=".*" search_in="hdr" header="{name}:" assign_to="{name}"/>'
    for name in ("Via", "To", "CSeq")
)
NOTHING = "Content-Length: 0\n\n"


def script(transcript: str, wav: Path | None = None) -> str:
    """Return the XML of a transcript."""
    steps, refused, invited, asked = [], False, False, ""
    for word in transcript.split():
        kind, what = word[0], word[1:].partition("*")[0]
        if kind == ".":
            steps.append(f'<pause milliseconds="{what}"/>')
        elif kind == "~":
            steps.append(f'<nop><action><exec rtp_stream="{wav},-1,0,PCMU/8000"/></action></nop>')
        elif kind == "<" and what.isdigit():
            refused = int(what) >= 300
            steps.append('<recv response="100" optional="true"/>' if invited else "")
            steps.append(f'<recv response="{what}" rrs="true"/>')
            invited = False
        elif kind == "<":
            asked = what
            keep = f"<action>{KEEP}</action>" if f":{what}" in transcript else ""
            steps.append(f'<recv request="{what}" rrs="true">{keep}</recv>')
        elif what[0].isdigit():
            status, _, method = what.partition(":")
            back = BACK_TO_EARLIER if method else BACK
            steps.append(_answer(status, method or asked, back))
        else:
            invited = invited or what == "INVITE"
            steps.append(_request(what, refused=refused))
    return '<?xml version="1.0"?>\n<scenario name="ours">\n' + "\n".join(steps) + "\n</scenario>"


def missing(transcript: str, messages: str) -> list[str]:
    """Return what should have come several times, and did not."""
    came = re.findall(r"message received.*\n\n(?:SIP/2.0 )?(\w+)", messages)
    wanted = re.findall(r"<(\w+)\*(\d)", transcript)
    return [f"{n} {what}: {came}" for what, n in wanted if came.count(what) < int(n)]


def _request(method: str, *, refused: bool) -> str:
    """Return a request of a caller; the ACK of a refusal belongs to its INVITE."""
    outside = method in ("INVITE", "CANCEL")
    ours = outside or (method == "ACK" and refused)
    where = "sip:[service]@[remote_ip]:[remote_port]" if ours else "[next_url]"
    text = REQUEST % {
        "line": f"{method} {where} SIP/2.0",
        "branch": "INVITE" if ours else method,
        "tag": "" if outside else "[peer_tag_param]",
        "routes": "" if outside or ours else "[routes]\n",
        "number": 2 if method == "BYE" else 1,
        "method": method,
    }
    return _sent(text, BODY % "rtpstream_audio_port" if method == "INVITE" else NOTHING)


def _answer(status: str, method: str, back: str) -> str:
    tag = ";tag=[pid]-[call_number]" if method == "INVITE" else ""
    text = ANSWER % {"status": status, "back": back % tag}
    return _sent(text, BODY % "media_port" if method == "INVITE" and status == "200" else NOTHING)


def _sent(head: str, body: str) -> str:
    return f"<send><![CDATA[{head}{body.lstrip()}]]></send>"


async def sipp(
    transcript: str,
    *options: str,
    to: str = "",
    port: int = 0,
    wav: Path | None = None,
    strict: bool = True,
) -> str:
    """Let sipp follow a script, and return what it printed.

    Raises AssertionError if it could not; unless ``strict`` is False, for calls that may fail.

    ``to``: user@host:port for a caller; a callee waits for its call at ``port``. ``wav`` is what
    ``~`` streams.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.xml").write_text(script(transcript, wav))
        user, _, host = to.partition("@")
        caller = [host, "-s", user] if to else []
        local = ["-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(port or free_ports())]
        watched = ["-nostdin", "-trace_err"]
        watched += ["-timeout", f"{WAIT_S}s", "-timeout_error"] if strict else []
        traced = ["-error_file", "errors.txt", "-trace_msg", "-message_file", "messages.txt"]
        media = [] if "-mp" in options else ["-mp", str(free_ports(4))]
        alone = [] if "-m" in options else ["-m", "1"]
        command = ["sipp", *caller, "-sf", "script.xml", *local, *watched, *media, *alone]
        if alone or not strict:
            command += traced
        async with running([*command, *options], folder / "printed.txt", cwd=folder) as process:
            await process.wait()
        printed = (folder / "printed.txt").read_text(errors="replace")
        told = [folder / "errors.txt", folder / "messages.txt"]
        known = "\n".join(path.read_text(errors="replace") for path in told if path.exists())
        wrong = missing(transcript, known) if alone else []
        if (process.returncode and strict) or wrong:
            raise AssertionError(
                f"sipp: exit code {process.returncode}, {wrong}\n{transcript}\n{known}\n{printed}"
            )
        return printed if strict else printed + known


async def ready(port: int, *transports: str) -> None:
    """Wait until a callee can be called: its port is taken, UDP's if no other is named."""
    ends = {"udp": f"0100007F:{port:04X} ", "tcp": f"0100007F:{port:04X} 00000000:0000 0A"}

    def is_there() -> bool:
        return all(
            ends[transport] in Path(f"/proc/net/{transport}").read_text()
            for transport in transports or ("udp",)
        )

    await until(is_there, lambda: f"nobody is at port {port}")
