"""Receives webhooks, answers as it is told to, and checks signatures with the reference library of Standard Webhooks.

    webhook_receiver.py [CERT KEY]

Prints a JSON object a line: first {"port": …}, then one for each request, before it is answered. Reads commands from stdin, a JSON object a
line, and prints {"ok": true} for each; ends with stdin:

    {"secrets": ["whsec_…"]}    what signatures are checked with
    {"answers": [ANSWER…]}      for the next requests, in order; the last is for all that follow

ANSWER is {"status": 200, "headers": {…}, "body": "…"}, or "hang" (no answer), "half" (an answer that stops in its body), "endless" (a body
that never ends), "cut" (the connection is reset). At first all requests get 204.
"""

import json
import os
import socket
import ssl
import struct
import sys
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

lock = threading.Lock()
state = {"secrets": [], "answers": [{"status": 204}]}


def say(value):
    with lock:
        print(json.dumps(value), flush=True)


def commands():
    for line in sys.stdin:
        state.update(json.loads(line))
        say({"ok": True})
    os._exit(0)


def verified(secret, body, headers):
    """Whether the reference library takes it now, and whether the signature alone is right."""
    webhook = Webhook(secret)
    try:
        webhook.verify(body, headers, json_parse=False)
        is_verified = True
    except WebhookVerificationError:
        is_verified = False
    at = datetime.fromtimestamp(int(headers.get("webhook-timestamp", 0)), tz=timezone.utc)
    own = webhook.sign(headers.get("webhook-id", ""), at, body.decode())
    return is_verified, own in headers.get("webhook-signature", "").split(" ")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        say({"method": self.command, "path": self.path})
        self.send_error(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with lock:
            answers = state["answers"]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        checks = [verified(secret, body, headers) for secret in state["secrets"]]
        say({
            "method": self.command,
            "path": self.path,
            "headers": headers,
            "body": json.loads(body),
            "raw": body.decode(),
            "verified": [is_verified for is_verified, _ in checks],
            "signed": [is_signed for _, is_signed in checks],
            "answer": answer,
        })
        self.answer(answer)

    def answer(self, answer):
        if answer == "hang":
            self.rfile.read(1)
            self.close_connection = True
        elif answer == "cut":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif answer == "half":
            self.send_response(500)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b"it begins\n")
            self.wfile.flush()
            self.rfile.read(1)
            self.close_connection = True
        elif answer == "endless":
            self.send_response(500)
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        else:
            body = answer.get("body", "").encode()
            self.send_response(answer["status"])
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            if answer["status"] != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[1:3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    say({"port": server.server_port})
    threading.Thread(target=commands, daemon=True).start()
    server.serve_forever()


main()
