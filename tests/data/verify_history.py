"""Independent verdict: does the box still have every message it acknowledged, once and in order?

Speaks the documented protocol (JSON over WSS, see FORMAT.md of the wire crate) with the package
`websockets` and nothing of the workspace. Input: a JSON-lines file of acknowledged messages,
`{"room":3,"seq":17,"device":2,"counter":5,"text":"..."}` each. Output: one JSON line,
`{"acked":..,"seen":..,"lost":..,"duplicated":..,"reordered":..}`; exit code 1 unless all are 0.
"""

import argparse
import asyncio
import collections
import json
import pathlib
import ssl
import sys

from websockets.asyncio.client import connect

PAGE = 200
ANSWER_SECONDS = 30


class Session:
    """One signed-in connection that asks and waits for the answer to each question."""

    def __init__(self, socket):
        self.socket = socket
        self.requests = 0
        self.rooms = set()

    async def sign_in(self, token):
        await self.expect("greeting")
        await self.ask("hello", token=token, epoch=None, cursor=0, client="verify_history.py")
        await self.expect("welcome")
        await self.expect("caught_up")

    async def ask(self, kind, **body):
        self.requests += 1
        frame = {"kind": kind, "request": self.requests, "body": body}
        await self.socket.send(json.dumps(frame))

    async def expect(self, wanted):
        """Reads frames until the wanted kind; remembers rooms on the way."""
        while True:
            frame = json.loads(await asyncio.wait_for(self.socket.recv(), ANSWER_SECONDS))
            kind, body = frame["kind"], frame["body"]
            if kind == "room":
                self.rooms.add(body["room"])
            elif kind in ("error", "closing"):
                raise SystemExit(f"the box answered {kind}: {body['reason']}: {body['text']}")
            if kind == wanted:
                return body

    async def history(self, room):
        """Every message of a room, oldest first, page by page."""
        pages, before, damaged = [], None, 0
        while True:
            await self.ask("read_history", room=room, before=before, limit=PAGE)
            page = await self.expect("history_page")
            pages.append(page["messages"])
            damaged += page["damaged"]
            before = page["before"]
            if before is None:
                return [message for page in reversed(pages) for message in page], damaged


def connected(url, ca_file):
    """A WebSocket to the box, to be used in an `async with` statement."""
    return connect(
        url,
        ssl=tls_context(ca_file),
        subprotocols=["linnet.json"],
        max_size=1 << 20,
        open_timeout=ANSWER_SECONDS,
    )


async def read_everything(url, ca_file, tokens):
    """Every message that any of the devices may see, and how many the card can't read any more."""
    history, damaged, read = [], 0, set()
    for token in tokens:
        async with connected(url, ca_file) as socket:
            session = Session(socket)
            await session.sign_in(token)
            for room in sorted(session.rooms - read):
                messages, bad = await session.history(room)
                history += messages
                damaged += bad
                read.add(room)
    return history, damaged


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
    tokens = pathlib.Path(arguments.tokens).read_text(encoding="utf-8").split()
    history, damaged = asyncio.run(read_everything(arguments.url, arguments.ca, tokens))
    verdict = compare(acked, history)
    verdict["lost"] += damaged
    print(json.dumps({"acked": len(acked), "seen": len(history), **verdict}))
    sys.exit(any(verdict.values()))


if __name__ == "__main__":
    main()
