"""Prints the notifications as they arrive: pip install "python-socketio[client]"."""

import os

import socketio

URL = os.environ.get("URL", "http://127.0.0.1:3000")

client = socketio.Client()


@client.on("connect")
def connected():
    print("listening", flush=True)
    client.emit("notify", {"title": "Python listens"}, callback=lambda answer: print(answer, flush=True))


@client.on("notification")
def notification(data):
    print(f"{data['level']}: {data['title']}", flush=True)


client.connect(URL)
client.wait()
