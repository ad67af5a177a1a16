"""python-socketio, a client that shares no code with the official ones, against the fixture server."""

import asyncio
import functools
import queue
import unittest

import socketio

from fixture import DEADLINE, Fixture

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


def on_every_transport(test):
    @functools.wraps(test)
    def run(self):
        for transport in TRANSPORTS:
            with self.subTest(transport=transport):
                test(self, transport)

    return run


class Events:
    """Puts the arguments of events into a queue."""

    def __init__(self, client, *names, namespace="/"):
        self.queue = queue.Queue()
        for name in names:
            client.on(name, lambda *args, name=name: self.queue.put((name, *args)), namespace=namespace)

    def next(self):
        return self.queue.get(timeout=DEADLINE)


class SyncTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fixture = Fixture()

    @classmethod
    def tearDownClass(cls):
        assert cls.fixture.stop() == 0

    def client(self, transport="upgrade", fixture=None, namespaces=("/",), auth=None, **options):
        options = {"reconnection": False, **options}
        client = socketio.Client(**options)
        self.addCleanup(client.shutdown)
        fixture = fixture or self.fixture
        client.connect(
            fixture.url, transports=TRANSPORTS[transport], namespaces=list(namespaces), auth=auth, wait_timeout=DEADLINE
        )
        return client

    @on_every_transport
    def test_connects_on_every_transport(self, transport):
        client = self.client(transport)
        seen = client.call("handshake", timeout=DEADLINE)
        self.assertEqual(seen["transport"], "polling" if transport == "polling" else "websocket")
        self.assertEqual(seen["protocol"], 4)
        client.disconnect()

    @on_every_transport
    def test_auth(self, transport):
        client = self.client(transport, namespaces=["/auth"], auth={"token": "secret"})
        self.assertEqual(client.call("handshake", namespace="/auth", timeout=DEADLINE)["auth"], {"token": "secret"})
        client.disconnect()

    @on_every_transport
    def test_refused_auth(self, transport):
        client = socketio.Client(reconnection=False)
        self.addCleanup(client.shutdown)
        errors = Events(client, "connect_error", namespace="/auth")
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(
                self.fixture.url, transports=TRANSPORTS[transport], namespaces=["/auth"], auth={"token": "no"},
                wait_timeout=DEADLINE,
            )
        name, error = errors.next()
        self.assertEqual(error, {"message": "not authorized", "data": {"code": "E_TOKEN", "token": "no"}})

    @on_every_transport
    def test_events_both_ways(self, transport):
        client = self.client(transport)
        echoes = Events(client, "echo")
        for args in [(), (1, "two", [3, {"four": None}]), ("aé€😀\U0010ffff",), ({"ключ": "значение"},), (1.5, -7, True)]:
            client.emit("echo", args)
            self.assertEqual(echoes.next(), ("echo", *args))
        client.disconnect()

    @on_every_transport
    def test_binary_nested_in_objects(self, transport):
        client = self.client(transport)
        echoes = Events(client, "echo")
        value = {"deep": [b"\x00\x01\xfe\xff", {"er": bytes(range(256)) * 50}], "text": "é"}
        client.emit("echo", (value, b"end"))
        self.assertEqual(echoes.next(), ("echo", value, b"end"))
        self.assertEqual(client.call("echo-ack", value, timeout=DEADLINE), value)
        client.disconnect()

    @on_every_transport
    def test_acks_both_ways_and_timed_out(self, transport):
        client = self.client(transport)
        client.on("question", lambda *args: ({"got": list(args)},))
        answer = client.call("call-me", (5000, "question", [1, "two"]), timeout=DEADLINE)
        self.assertEqual(answer, {"error": None, "response": {"got": [1, "two"]}})
        with self.assertRaises(socketio.exceptions.TimeoutError):
            client.call("silent", timeout=0.2)
        client.on("mute", lambda: None)
        self.assertEqual(client.call("echo-ack", "still here", timeout=DEADLINE), "still here")
        client.disconnect()

    def test_rooms(self):
        a, b = self.client(), self.client("polling")
        news_a, news_b = Events(a, "news"), Events(b, "news")
        self.assertEqual(b.call("join", ["r"], timeout=DEADLINE), ["r"])
        a.call("emit", ({"to": ["r"]}, "news", [1]), timeout=DEADLINE)
        a.call("emit", ({"via": "socket"}, "news", [2]), timeout=DEADLINE)
        a.call("emit", ({"except": ["r"]}, "news", [3]), timeout=DEADLINE)
        self.assertEqual([news_b.next(), news_b.next()], [("news", 1), ("news", 2)])
        self.assertEqual(news_a.next(), ("news", 3))
        b.call("leave", ["r"], timeout=DEADLINE)
        a.call("emit", ({"to": ["r"]}, "news", [4]), timeout=DEADLINE)
        a.call("emit", ({}, "news", [5]), timeout=DEADLINE)
        self.assertEqual((news_a.next(), news_b.next()), (("news", 5), ("news", 5)))

    def test_broadcast_acks(self):
        a, b = self.client(), self.client()
        for name, client in [("a", a), ("b", b)]:
            client.on("vote?", lambda topic, name=name: f"{name}:{topic}")
            client.call("join", ["jury"], timeout=DEADLINE)
        result = a.call("ask", ({"to": ["jury"], "timeout": 5000}, "vote?", ["tea"]), timeout=DEADLINE)
        self.assertEqual(result["error"], None)
        self.assertEqual(sorted(result["responses"]), ["a:tea", "b:tea"])

    @on_every_transport
    def test_several_namespaces_over_one_connection(self, transport):
        client = socketio.Client(reconnection=False)
        self.addCleanup(client.shutdown)
        welcome, echoes = Events(client, "welcome", namespace="/chat"), Events(client, "echo", namespace="/chat")
        client.connect(
            self.fixture.url, transports=TRANSPORTS[transport], namespaces=["/", "/chat"], wait_timeout=DEADLINE
        )
        self.assertEqual(welcome.next()[1]["id"], client.get_sid("/chat"))
        client.emit("echo", "in chat", namespace="/chat")
        self.assertEqual(echoes.next(), ("echo", "in chat"))
        self.assertNotEqual(client.get_sid("/"), client.get_sid("/chat"))
        client.disconnect()

    @on_every_transport
    def test_one_megabyte(self, transport):
        client = self.client(transport)
        text = "x" * 999_900
        self.assertEqual(client.call("length", text, timeout=DEADLINE), len(text))
        sizes = Events(client, "size")
        client.emit("size", 1_000_000)
        self.assertEqual(len(sizes.next()[1]), 1_000_000)
        client.disconnect()

    @on_every_transport
    def test_kicked_and_leaving(self, transport):
        client = self.client(transport)
        gone = Events(client, "disconnect")
        client.emit("kick", True)
        self.assertEqual(gone.next()[1], socketio.Client.reason.SERVER_DISCONNECT)
        # The client drops its last packets if its previous POST is still under way; then only the heartbeat ends the
        # session.
        fixture = Fixture(pingInterval=1000, pingTimeout=4000)
        self.addCleanup(fixture.stop)
        client = self.client(transport, fixture)
        sid = client.get_sid()
        client.disconnect()
        seen = fixture.observed(type="disconnect", id=sid)
        reasons = ["client namespace disconnect", "transport close"]
        if transport == "polling":
            reasons.append("ping timeout")
        self.assertIn(seen["reason"], reasons)

    @on_every_transport
    def test_heartbeat_keeps_an_idle_connection(self, transport):
        fixture = Fixture(pingInterval=100, pingTimeout=10_000)
        self.addCleanup(fixture.stop)
        client = self.client(transport, fixture)
        # The server pings several times while this waits in vain.
        with self.assertRaises(socketio.exceptions.TimeoutError):
            client.call("silent", timeout=0.7)
        self.assertEqual(client.call("echo-ack", "alive", timeout=DEADLINE), "alive")
        client.disconnect()

    @on_every_transport
    def test_reconnects_to_the_next_server(self, transport):
        first = Fixture()
        client = self.client(transport, first, reconnection=True, reconnection_delay=0.05, reconnection_delay_max=0.2)
        events = Events(client, "connect", "disconnect")
        first.stop(kill=True)
        self.assertEqual(events.next()[0], "disconnect")
        second = Fixture(port=first.port)
        self.assertEqual(events.next()[0], "connect")
        self.assertEqual(client.call("echo-ack", "back", timeout=DEADLINE), "back")
        second.stop(kill=True)
        self.assertEqual(events.next()[0], "disconnect")
        client.shutdown()


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.fixture = Fixture()

    async def asyncTearDown(self):
        self.assertEqual(self.fixture.stop(), 0)

    async def test_a_conversation_on_every_transport(self):
        for transport, transports in TRANSPORTS.items():
            with self.subTest(transport=transport):
                client = socketio.AsyncClient(reconnection=False)
                echoes = asyncio.Queue()
                client.on("echo", lambda *args: echoes.put_nowait(args))
                await client.connect(self.fixture.url, transports=transports, wait_timeout=DEADLINE)
                for start in range(0, 200, 4):
                    # This client takes at most 16 packets in one polling body.
                    for i in range(start, start + 4):
                        await client.emit("echo", (i, b"\x01\x02", {"b": b"\x03"}))
                    for i in range(start, start + 4):
                        args = await asyncio.wait_for(echoes.get(), DEADLINE)
                        self.assertEqual(args, (i, b"\x01\x02", {"b": b"\x03"}))
                self.assertEqual(await client.call("echo-ack", "done", timeout=DEADLINE), "done")
                await client.disconnect()


if __name__ == "__main__":
    unittest.main()
