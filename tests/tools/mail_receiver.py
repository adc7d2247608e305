"""A mail server that shows what it gets, made of aiosmtpd.

    mail_receiver.py tls|starttls CERT KEY USER PASSWORD
    mail_receiver.py plain
    mail_receiver.py slipped CERT KEY …

Prints a JSON object a line: first {"port": …}, then one for each mail. Ends with stdin. What an address or a subject begins with decides the
answer: RCPT to `refused…` gets 550, to `later…` 451; a subject with `spam` gets 554, with `busy` 452.

`slipped` is not aiosmtpd, but somebody on the way: to STARTTLS it adds an answer to the EHLO that is yet to come, and then speaks TLS like the real
server. It prints the lines that it hears over TLS.
"""

import asyncio
import email
import email.policy
import hashlib
import json
import os
import socket
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult


def say(value):
    print(json.dumps(value), flush=True)


def end():
    sys.stdin.read()
    os._exit(0)


def part(one):
    content = one.get_content()
    is_text = isinstance(content, str)
    return {
        "type": one.get_content_type(),
        "disposition": one.get_content_disposition(),
        "name": one.get_filename(),
        "id": one["content-id"],
        "text": content.replace("\r\n", "\n") if is_text else None,
        "sha256": None if is_text else hashlib.sha256(content).hexdigest(),
    }


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        if address.startswith("later"):
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        subject = message["subject"]
        answer = "250 OK"
        if "spam" in subject:
            answer = "554 5.7.1 looks like spam"
        if "busy" in subject:
            answer = "452 4.3.1 disk full"
        login = session.auth_data.login.decode() if session.auth_data else None
        say({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "login": login,
            "is_tls": session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None,
            "subject": subject,
            "headers": {name.lower(): value for name, value in message.items()},
            "structure": [one.get_content_type() for one in message.walk()],
            "parts": [part(one) for one in message.walk() if not one.is_multipart()],
            "defects": [str(defect) for one in message.walk() for defect in one.defects],
            "is_ascii": envelope.content.isascii(),
            "answer": answer,
        })
        return answer


def slipped(context):
    listener = socket.create_server(("127.0.0.1", 0))
    say({"port": listener.getsockname()[1]})
    plain, _ = listener.accept()
    lines = plain.makefile("rb")
    plain.sendall(b"220 mail.test\r\n")
    lines.readline()
    plain.sendall(b"250-mail.test\r\n250 STARTTLS\r\n")
    lines.readline()
    plain.sendall(b"220 go on\r\n250-mail.test\r\n250 AUTH PLAIN\r\n")
    heard = []
    try:
        with context.wrap_socket(plain, server_side=True) as secured:
            heard = [line.decode().strip() for line in secured.makefile("rb")]
    except OSError as error:
        heard.append(str(error))
    say({"heard": heard})


async def main():
    mode, *more = sys.argv[1:]
    options = {"hostname": "mail.test"}
    context = None
    if more:
        certificate, key, user, password = more
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def authenticate(server, session, envelope, mechanism, data):
            is_right = data.login == user.encode() and data.password == password.encode()
            return AuthResult(success=is_right, handled=False, auth_data=data)

        options.update(authenticator=authenticate, auth_required=True)
    if mode == "slipped":
        threading.Thread(target=end, daemon=True).start()
        await asyncio.to_thread(slipped, context)
        return
    if mode == "starttls":
        options.update(tls_context=context, require_starttls=True)
    if mode == "tls":
        # The TLS of SMTPS is below SMTP, where aiosmtpd does not see it.
        options.update(auth_require_tls=False)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), loop=loop, **options), "127.0.0.1", 0, ssl=context if mode == "tls" else None
    )
    say({"port": server.sockets[0].getsockname()[1]})
    threading.Thread(target=end, daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
