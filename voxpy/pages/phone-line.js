// The phone's two lines to the host: a WebSocket with linear audio, or WebRTC. Both report what
// happens as the same events, so that the page does not know which one it has.
"use strict";
(() => {
  const { ask, refusal } = window.voxpy;
  const RATE_HZ = 24000;
  const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

  /** The microphone, or null where there is none or it may not be heard; `why` says so. */
  async function openMicrophone(deviceId) {
    if (!navigator.mediaDevices) {
      return { stream: null, why: "this browser gives a page its microphone over https or on 127.0.0.1 only" };
    }
    const wanted = deviceId ? { ...MICROPHONE, deviceId: { exact: deviceId } } : MICROPHONE;
    try {
      return { stream: await navigator.mediaDevices.getUserMedia({ audio: wanted }), why: "" };
    } catch (error) {
      const denied = error.name === "NotAllowedError";
      return { stream: null, why: denied ? "the microphone is not allowed for this page" : error.message };
    }
  }

  /** What both lines share: the state of a call, told to `on(event)`. */
  class Line {
    constructor(on) {
      this.on = on;
      this.state = "new";
      this.muted = false;
      this.microphone = null;
      this.statistics = { clears: [], received_frames: 0, sent_frames: 0, starved: 0, waiting_ms: 0 };
    }

    tell(event) {
      if (event.event === "answered") this.state = "answered";
      if (event.event === "ended") {
        if (this.state === "ended") return;
        this.state = "ended";
      }
      this.on(event);
    }

    mute(muted) {
      this.muted = muted;
      for (const track of this.microphone ? this.microphone.getAudioTracks() : []) track.enabled = !muted;
    }

    freeMicrophone() {
      for (const track of this.microphone ? this.microphone.getTracks() : []) track.stop();
    }
  }

  class SocketLine extends Line {
    async call({ to, from, deviceId }) {
      await this.useMicrophone(deviceId);
      await this._openAudio();
      this._open("/phone/media", () => {
        const id = [...crypto.getRandomValues(new Uint8Array(12))].map((n) => n.toString(16)).join("");
        this.say({ event: "start", to, from, call_id: id, rate_hz: this.context.sampleRate });
      });
    }

    /** Listen to a call of others; what is said goes out as soon as there is a microphone. */
    async listen(path) {
      await this._openAudio();
      this._open(path, () => this.tell({ event: "answered" }));
    }

    async useMicrophone(deviceId) {
      const { stream, why } = await openMicrophone(deviceId);
      if (why) this.tell({ event: "listening", why });
      this.microphone = stream;
      if (stream && this.context) this.context.createMediaStreamSource(stream).connect(this.capture);
    }

    _open(path, opened) {
      this.socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${path}`);
      this.socket.binaryType = "arraybuffer";
      this.socket.onopen = () => {
        opened();
        this.capture.port.onmessage = ({ data }) => this._captured(data);
      };
      this.socket.onmessage = ({ data }) => this._received(data);
      this.socket.onclose = ({ code, reason }) => {
        const lost = code !== 1000 || this.state === "new";
        this.tell({ event: "ended", code: lost ? 503 : 200, reason: reason || (lost ? "The connection was lost" : "") });
        this._free();
      };
    }

    async _openAudio() {
      this.context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
      let source = null;
      try {
        source = this.microphone && this.context.createMediaStreamSource(this.microphone);
      } catch {
        // Firefox takes a microphone at its own rate only.
        await this.context.close();
        this.context = new AudioContext({ latencyHint: "interactive" });
        source = this.context.createMediaStreamSource(this.microphone);
      }
      await this.context.audioWorklet.addModule("/assets/phone-worklet.js");
      const mono = { channelCount: 1, channelCountMode: "explicit", outputChannelCount: [1] };
      this.capture = new AudioWorkletNode(this.context, "capture", { ...mono, numberOfOutputs: 1 });
      this.output = new AudioWorkletNode(this.context, "playout", { ...mono, numberOfInputs: 0 });
      if (source) source.connect(this.capture);
      // A node that leads nowhere is not run by every browser; what comes out here is silence.
      this.capture.connect(this.context.destination);
      this.output.connect(this.context.destination);
      this.output.port.onmessage = ({ data }) => this._played(data);
      await this.context.resume();
    }

    _captured(data) {
      if (data.level !== undefined) {
        this.on({ event: "level", side: "mine", level: this.muted ? 0 : data.level });
      } else if (this.socket.readyState === WebSocket.OPEN) {
        this.socket.send(data.frame);
        this.statistics.sent_frames++;
      }
    }

    _played(data) {
      if (data.mark !== undefined) this.say({ event: "mark", name: data.mark });
      else if (data.cleared !== undefined) {
        const clear = this.statistics.clears[data.cleared];
        clear.emptied_at = performance.timeOrigin + performance.now();
        clear.dropped_ms = data.dropped_ms;
      } else {
        this.statistics.waiting_ms = data.waiting_ms;
        this.statistics.starved = data.starved;
        this.on({ event: "level", side: "theirs", level: data.level });
      }
    }

    _received(data) {
      if (typeof data !== "string") {
        this.statistics.received_frames++;
        this.output.port.postMessage({ audio: data }, [data]);
        return;
      }
      const event = JSON.parse(data);
      if (event.event === "mark") {
        this.output.port.postMessage({ mark: event.name });
      } else if (event.event === "clear") {
        const clears = this.statistics.clears;
        clears.push({ received_at: performance.timeOrigin + performance.now(), emptied_at: null, dropped_ms: 0 });
        this.output.port.postMessage({ clear: clears.length - 1 });
      } else {
        this.tell(event);
      }
    }

    /** Send an event; before the socket is open, when it is. */
    say(event) {
      const send = () => this.socket.send(JSON.stringify(event));
      if (this.socket.readyState === WebSocket.OPEN) send();
      else if (this.socket.readyState === WebSocket.CONNECTING) this.socket.addEventListener("open", send);
    }

    press(digit) {
      this.say({ event: "dtmf", digit });
    }

    hangUp() {
      this.say({ event: "stop" });
      if (this.socket) this.socket.close(1000);
      this.tell({ event: "ended", code: 200, reason: "You hung up" });
      this._free();
    }

    _free() {
      this.freeMicrophone();
      if (this.context && this.context.state !== "closed") this.context.close();
    }
  }

  /** Audio by WebRTC: an offer by HTTP as WHIP makes one (RFC 9725); events on a data channel. */
  class RtcLine extends Line {
    async call({ to, from, deviceId, iceServers }) {
      const { stream, why } = await openMicrophone(deviceId);
      if (why) this.tell({ event: "listening", why });
      this.microphone = stream;
      this.context = new AudioContext({ latencyHint: "interactive" });
      await this.context.resume();
      const peer = (this.peer = new RTCPeerConnection({ iceServers }));
      if (stream) for (const track of stream.getAudioTracks()) peer.addTrack(track, stream);
      else peer.addTransceiver("audio", { direction: "recvonly" });
      this.channel = peer.createDataChannel("voxpy");
      this.channel.onmessage = ({ data }) => this.tell(JSON.parse(data));
      this.player = new Audio();
      peer.ontrack = ({ track }) => this._hear(new MediaStream([track]));
      peer.onconnectionstatechange = () => {
        const state = peer.connectionState;
        if (state === "failed" || state === "closed") this._over(503, "The connection was lost");
      };
      if (stream) this._measure(this.context.createMediaStreamSource(stream), "mine");
      await peer.setLocalDescription(await peer.createOffer());
      await gathered(peer);
      const query = new URLSearchParams({ from });
      const response = await ask(`/whip/${encodeURIComponent(to)}?${query}`, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: peer.localDescription.sdp,
      });
      const body = await response.text();
      if (response.status !== 201) {
        this._over(response.status || 503, body || refusal(response));
        return;
      }
      this.resource = response.headers.get("Location");
      await peer.setRemoteDescription({ type: "answer", sdp: body });
    }

    _hear(stream) {
      // Chromium runs a remote track through Web Audio only while an element plays it.
      this.player.srcObject = stream;
      this.player.play();
      this.output = this.context.createMediaStreamSource(stream);
      this._measure(this.output, "theirs");
    }

    _measure(source, side) {
      const analyser = this.context.createAnalyser();
      analyser.fftSize = 1024;
      source.connect(analyser);
      const values = new Float32Array(analyser.fftSize);
      const look = () => {
        if (this.state === "ended") return;
        analyser.getFloatTimeDomainData(values);
        const level = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
        this.on({ event: "level", side, level: side === "mine" && this.muted ? 0 : level });
        setTimeout(look, 50);
      };
      look();
    }

    press(digit) {
      if (this.channel.readyState === "open") this.channel.send(JSON.stringify({ event: "dtmf", digit }));
    }

    hangUp() {
      if (this.resource) ask(this.resource, { method: "DELETE", keepalive: true });
      this._over(200, "You hung up");
    }

    _over(code, reason) {
      this.tell({ event: "ended", code, reason });
      this.freeMicrophone();
      if (this.peer) this.peer.close();
      if (this.context && this.context.state !== "closed") this.context.close();
    }
  }

  /** All candidates are in the offer, as a host without trickle wants it. */
  function gathered(peer) {
    return new Promise((done) => {
      const look = () => {
        if (peer.iceGatheringState === "complete") done();
      };
      peer.addEventListener("icegatheringstatechange", look);
      setTimeout(done, 2000); // a STUN server that does not answer
      look();
    });
  }

  window.voxpy = { ...window.voxpy, SocketLine, RtcLine };
})();
