"""Independent verdict: does the box still have every message it acknowledged, once and in order?

Speaks the documented protocol (JSON over WSS, see FORMAT.md of the wire crate) with the package
`websockets` and nothing of the workspace. Input: a JSON-lines file of acknowledged messages,
`{"room":3,"seq":17,"device":2,"counter":5,"text":"..."}` each. Output: one JSON line,
`{"acked":..,"seen":..,"lost":..,"duplicated":..,"reordered":..}`; exit code 1 unless all are 0.
"""

import argparse
import collections
import json
import pathlib
import ssl
import sys

from websockets.sync.client import connect

PAGE = 200
ANSWER_SECONDS = 30


class Session:
    """One signed-in connection that asks and waits for the answer to each question."""

    def __init__(self, socket, token):
        self.socket = socket
        self.requests = 0
        self.rooms = set()
        self.expect("greeting")
        self.ask("hello", token=token, epoch=None, cursor=0, client="verify_history.py")
        self.expect("welcome")
        self.expect("caught_up")

    def ask(self, kind, **body):
        self.requests += 1
        frame = {"kind": kind, "request": self.requests, "body": body}
        self.socket.send(json.dumps(frame))

    def expect(self, wanted):
        """Reads frames until the wanted kind; remembers rooms on the way."""
        while True:
            frame = json.loads(self.socket.recv(timeout=ANSWER_SECONDS))
            kind, body = frame["kind"], frame["body"]
            if kind == "room":
                self.rooms.add(body["room"])
            elif kind in ("error", "closing"):
                raise SystemExit(f"the box answered {kind}: {body['reason']}: {body['text']}")
            if kind == wanted:
                return body

    def history(self, room):
        """Every message of a room, oldest first, page by page."""
        pages, before, damaged = [], None, 0
        while True:
            self.ask("read_history", room=room, before=before, limit=PAGE)
            page = self.expect("history_page")
            pages.append(page["messages"])
            damaged += page["damaged"]
            before = page["before"]
            if before is None:
                return [message for page in reversed(pages) for message in page], damaged


def connected(url, ca_file):
    """A WebSocket to the box, to be used in a `with` statement."""
    return connect(
        url,
        ssl=tls_context(ca_file),
        subprotocols=["linnet.json"],
        max_size=1 << 20,
        open_timeout=ANSWER_SECONDS,
    )


def tls_context(ca_file):
    """Trusts exactly the box's own CA; the name is whatever loopback address was forwarded."""
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    return context


def compare(acked, history):
    """Counts acknowledged messages that are missing, and messages that are twice or misplaced."""
    by_place = {(message["room"], message["seq"]): message for message in history}
    fields = ("device", "counter", "text")
    lost = sum(
        1
        for entry in acked
        if (found := by_place.get((entry["room"], entry["seq"]))) is None
        or any(found[field] != entry[field] for field in fields)
    )
    places = len(history) - len(by_place)
    commands = collections.Counter((message["device"], message["counter"]) for message in history)
    duplicated = places + sum(count - 1 for count in commands.values())
    return {"lost": lost, "duplicated": duplicated, "reordered": count_reordered(history)}


def count_reordered(history):
    """A device's commands must stand in each room in the order in which it numbered them."""
    reordered, newest, last_seq = 0, {}, {}
    for message in history:
        key = (message["room"], message["device"])
        reordered += message["counter"] < newest.get(key, 0)
        newest[key] = max(newest.get(key, 0), message["counter"])
        reordered += message["seq"] < last_seq.get(message["room"], 0)
        last_seq[message["room"]] = message["seq"]
    return reordered


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="wss://HOST:PORT/ws")
    parser.add_argument("--ca", required=True, help="the box's CA certificate, PEM")
    parser.add_argument("--tokens", required=True, help="file with one device token a line")
    parser.add_argument("--acked", required=True, help="JSON lines of acknowledged messages")
    arguments = parser.parse_args()

    lines = pathlib.Path(arguments.acked).read_text(encoding="utf-8").splitlines()
    acked = [json.loads(line) for line in lines if line]
    if not acked:
        raise SystemExit("the list of acknowledged messages is empty: nothing would be proven")
    history, damaged, read = [], 0, set()
    for token in pathlib.Path(arguments.tokens).read_text(encoding="utf-8").split():
        with connected(arguments.url, arguments.ca) as socket:
            session = Session(socket, token)
            for room in sorted(session.rooms - read):
                messages, bad = session.history(room)
                history += messages
                damaged += bad
                read.add(room)
    verdict = compare(acked, history)
    verdict["lost"] += damaged
    print(json.dumps({"acked": len(acked), "seen": len(history), **verdict}))
    sys.exit(any(verdict.values()))


if __name__ == "__main__":
    main()
