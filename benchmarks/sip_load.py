"""500 calls to ``voxpy serve`` over SIP, 20 a second, 50 at once, each with RTP both ways.

    python benchmarks/sip_load.py [calls]

sipp (Debian: sip-tester) calls ``scenarios/echo.py``, and before it the floor: a bare trio program
that answers INVITE and BYE and sends every RTP packet back. Printed are calls that failed, CPU per
minute of a call for both, and what is left of the calls in the host: sessions, descriptors, memory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import trio

ROOT = Path(__file__).parents[1]
CALLS, A_SECOND, AT_ONCE, TALK_S = 500, 20, 50, 2.4
WARM_UP = 20
LEFT_S = 40
"""After the last call: the answers to BYE are kept for 32 s (RFC 3261, timer J)."""
PATIENT = ("--max-late-ms", "10000", "--max-busy", "1")
"""What is measured is the calls, not when a host that shares its cores would refuse them."""
ROUTING = f"""
rules:
  - {{name: echo, pattern: echo, scenarios: [{ROOT}/scenarios/echo.py]}}
channels:
  sip: {{host: 127.0.0.1, port: 0, rtp_ports: 20000-29999}}
"""
REQUEST = """<send retrans="500"><![CDATA[
%s SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <sip:echo@[remote_ip]:[remote_port]>%s
Call-ID: [call_id]
CSeq: %s
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
%s]]></send>
"""
NO_BODY = "Content-Length: 0\n\n"
OFFER = """Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""
THERE, HERE = "sip:echo@[remote_ip]:[remote_port]", "[next_url]"
TAG = "[peer_tag_param]"
SCRIPT = (
    '<?xml version="1.0"?><scenario name="load">'
    + REQUEST % (f"INVITE {THERE}", "", "1 INVITE", OFFER)
    + '<recv response="100" optional="true"/><recv response="200" rrs="true"/>'
    + (REQUEST % (f"ACK {HERE}", TAG, "1 ACK", NO_BODY)).replace(' retrans="500"', "")
    + '<nop><action><exec rtp_stream="WAV,-1,0,PCMU/8000"/></action></nop>'
    + f'<pause milliseconds="{round(TALK_S * 1000)}"/>'
    + REQUEST % (f"BYE {HERE}", TAG, "2 BYE", NO_BODY)
    + '<recv response="200"/></scenario>'
)


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wav = folder / "says.ulaw"
        wav.write_bytes(bytes(range(256)) * 64)
        (folder / "script.xml").write_text(SCRIPT.replace("WAV", str(wav)))
        floor = measure_floor(folder, calls)
        ours = measure_voxpy(folder, calls)
    print(f"\nCPU per call-minute: voxpy {ours:.2f} s, floor {floor:.2f} s: {ours / floor:.1f} x")


def measure_floor(folder: Path, calls: int) -> float:
    command = [sys.executable, __file__, "--floor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            return load("floor", folder, port, process.pid, calls)
        finally:
            process.terminate()


def measure_voxpy(folder: Path, calls: int) -> float:
    (folder / "routing.yaml").write_text(ROUTING)
    printed = folder / "printed.txt"
    serve = [sys.executable, "-m", "voxpy", "serve", "--port", "0", "--json-logs"]
    with printed.open("wb") as file:
        process = subprocess.Popen([*serve, *PATIENT], cwd=folder, stdout=file, stderr=file)
    try:
        while not (sip := re.search(r"NUMBER@127.0.0.1:(\d+)", printed.read_text())):
            time.sleep(0.1)
        web = re.search(r"http://127.0.0.1:(\d+)", printed.read_text())
        assert web is not None
        sipp(folder, int(sip[1]), WARM_UP)
        time.sleep(LEFT_S)
        before = left(process.pid, int(web[1]))
        cpu = load("voxpy", folder, int(sip[1]), process.pid, calls)
        after_load = left(process.pid, int(web[1]))
        time.sleep(LEFT_S)
        after = left(process.pid, int(web[1]))
    finally:
        process.terminate()
        process.wait()
    print(
        f"voxpy: before {before}\n       just after {after_load}\n       {LEFT_S} s later {after}"
    )
    ended = [json.loads(line) for line in printed.read_text().splitlines()]
    reasons = [e["data"]["reason"] for e in ended if e["event"] == "call ended"]
    wrong = len(reasons) - reasons.count("terminated")
    refused = Counter(e["event"] for e in ended if e["level"] != "info")
    print(f"voxpy: log beyond info: {dict(refused)}")
    print(f"voxpy: {len(reasons)} sessions ended, {wrong} of them otherwise than by BYE")
    return cpu


def load(name: str, folder: Path, port: int, pid: int, calls: int) -> float:
    """Make the calls; print how many failed, and return CPU seconds per minute of a call."""
    before, began = cpu_s(pid), time.monotonic()
    printed = sipp(folder, port, calls)
    took_s, used_s = time.monotonic() - began, cpu_s(pid) - before
    counts = {
        what: re.findall(rf"{what} call +\|[^|]*\| +(\d+)", printed)[-1]
        for what in ("Successful", "Failed")
    }
    errors = folder / "errors.txt"
    if errors.exists():
        print(name, Counter(re.findall(r"while [^,]*, received '[^\r\n]*", errors.read_text())))
        print(errors.read_text()[-2000:] if counts["Failed"] != "0" else "")
        errors.unlink()
    print(f"{name}: {counts} in {took_s:.0f} s, {used_s / took_s:.0%} of a core")
    return used_s / (calls * TALK_S / 60)


def sipp(folder: Path, port: int, calls: int) -> str:
    command = ["sipp", f"127.0.0.1:{port}", "-sf", "script.xml", "-i", "127.0.0.1"]
    command += ["-mi", "127.0.0.1", "-nostdin", "-m", str(calls), "-r", str(A_SECOND)]
    command += ["-l", str(AT_ONCE), "-timeout", "300s", "-timeout_error"]
    command += ["-trace_err", "-error_file", "errors.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


def left(pid: int, web: int) -> str:
    metrics = httpx.get(f"http://127.0.0.1:{web}/metrics").text
    running = re.search(r"^voxpy_calls_running (\S+)", metrics, re.MULTILINE)
    descriptors = os.listdir(f"/proc/{pid}/fd")
    status = Path(f"/proc/{pid}/status").read_text()
    memory = re.search(r"VmRSS:\s+(\d+)", status)
    threads = re.search(r"Threads:\s+(\d+)", status)
    assert running is not None
    assert memory is not None
    assert threads is not None
    return (
        f"{running[1]} calls, {len(descriptors)} descriptors, {threads[1]} threads, "
        f"{int(memory[1]) / 1024:.1f} MB"
    )


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- the floor -------------------------------------------------------------------------------------


async def floor() -> None:
    """Answer every INVITE and BYE with 200, and send every RTP packet back. Forgets nothing."""
    sip = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
    await sip.bind(("127.0.0.1", 0))
    print(sip.getsockname()[1], flush=True)
    calls: dict[bytes, trio.CancelScope] = {}
    async with trio.open_nursery() as nursery:
        while True:
            data, where = await sip.recvfrom(65535)
            call_id = re.findall(rb"Call-ID: (.*)\r\n", data)[0]
            body = b""
            if data.startswith(b"INVITE") and call_id not in calls:
                rtp = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
                await rtp.bind(("127.0.0.1", 0))
                calls[call_id] = trio.CancelScope()
                nursery.start_soon(echo, rtp, calls[call_id])
                body = (
                    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                    b"m=audio %d RTP/AVP 0\r\n" % rtp.getsockname()[1]
                )
            elif data.startswith(b"BYE"):
                calls[call_id].cancel()
            elif not data.startswith(b"INVITE"):
                continue
            head = b"".join(
                line + b"\r\n"
                for line in data.split(b"\r\n")
                if line.startswith((b"Via", b"From", b"To", b"Call-ID", b"CSeq"))
            ).replace(b">\r\nCall-ID", b">;tag=1\r\nCall-ID")
            more = b"Contact: <sip:127.0.0.1:%d>\r\n" % sip.getsockname()[1]
            kind = b"Content-Type: application/sdp\r\n" if body else b""
            length = b"Content-Length: %d\r\n\r\n" % len(body)
            await sip.sendto(b"SIP/2.0 200 OK\r\n" + head + more + kind + length + body, where)


async def echo(rtp: trio.socket.SocketType, until: trio.CancelScope) -> None:
    with until, rtp:
        while True:
            data, where = await rtp.recvfrom(2048)
            await rtp.sendto(data, where)


if __name__ == "__main__":
    if "--floor" in sys.argv:
        trio.run(floor)
    else:
        main()
