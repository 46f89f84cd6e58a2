#!/usr/bin/env python3
"""A scripted stand-in for a model server, so that a real coding agent runs offline. Speaks the
Anthropic Messages API (JSON and server-sent events). Started inside the sandbox, on its loopback.
usage: mockllm.py --script STEPS.json [--port 0] [--log FILE] [--port-file FILE]

STEPS.json is a list. A step is {"shell": "command"}, {"tool": "Write", "args": {...}} or
{"say": "text"} (which may also stand beside a call); past the end the answer is "done". The step is
chosen from the request alone, by the number of assistant turns already in it: so a retry replays
the same step, side requests (no tools declared) never use one up, and the server keeps no state."""
import argparse
import json
import os
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def step_for(steps, body):
    """(number, step) to play for a request."""
    if not body.get("tools"):
        return -1, {"say": '{"title": "scripted"}'}
    roles = [m["role"] for m in body.get("messages", [])]
    turns = sum(1 for i, r in enumerate(roles)
                if r == "assistant" and (i == 0 or roles[i - 1] != "assistant"))
    return turns, steps[turns] if turns < len(steps) else {"say": "done"}


def blocks_of(step):
    """The content blocks of an assistant message."""
    blocks = []
    if step.get("say"):
        blocks.append({"type": "text", "text": step["say"]})
    call = None
    if "shell" in step:
        call = ("Bash", {"command": step["shell"], "description": "scripted step"})
    elif "tool" in step:
        call = (step["tool"], step.get("args", {}))
    if call:
        blocks.append({"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:20],
                       "name": call[0], "input": call[1]})
    return blocks


def message_of(model, blocks):
    stop = "tool_use" if any(b["type"] == "tool_use" for b in blocks) else "end_turn"
    return {"id": "msg_" + uuid.uuid4().hex[:20], "type": "message", "role": "assistant",
            "model": model, "content": blocks, "stop_reason": stop, "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 10}}


def events_of(message):
    """The (event, object) pairs of a streamed message."""
    yield "message_start", {"type": "message_start",
                            "message": dict(message, content=[], stop_reason=None)}
    for i, b in enumerate(message["content"]):
        if b["type"] == "text":
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": b["text"]}
        else:
            start = dict(b, input={})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(b["input"])}
        yield "content_block_start", {"type": "content_block_start", "index": i,
                                      "content_block": start}
        yield "content_block_delta", {"type": "content_block_delta", "index": i, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": i}
    yield "message_delta", {"type": "message_delta", "usage": {"output_tokens": 10},
                            "delta": {"stop_reason": message["stop_reason"],
                                      "stop_sequence": None}}
    yield "message_stop", {"type": "message_stop"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, data, kind="application/json", status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        self.send(b'{"object": "list", "data": [{"id": "mock", "object": "model"}]}')

    do_HEAD = do_GET

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw or b"{}")
        if self.path.split("?")[0].endswith("/count_tokens"):
            self.send(b'{"input_tokens": 10}')
            return
        number, step = step_for(self.server.steps, body)
        self.server.record({"step": number, "body": body})
        message = message_of(body.get("model"), blocks_of(step))
        if body.get("stream"):
            text = "".join(f"event: {e}\ndata: {json.dumps(d)}\n\n" for e, d in events_of(message))
            self.send(text.encode(), "text/event-stream")
        else:
            self.send(json.dumps(message).encode())


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, steps, log):
        super().__init__(("127.0.0.1", port), Handler)
        self.steps, self.log, self.lock = steps, log, threading.Lock()

    def record(self, entry):
        if self.log:
            with self.lock, open(self.log, "a", encoding="utf-8") as f:
                f.write(json.dumps(entry) + "\n")


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--script", required=True)
    ap.add_argument("--port", type=int, default=0)
    ap.add_argument("--log")
    ap.add_argument("--port-file")
    args = ap.parse_args()
    with open(args.script, encoding="utf-8") as f:
        server = Server(args.port, json.load(f), args.log)
    if args.port_file:
        with open(args.port_file + ".new", "w", encoding="ascii") as f:
            f.write(str(server.server_address[1]))
        os.rename(args.port_file + ".new", args.port_file)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
