"""Sends a notification by HTTP, with nothing but Python itself."""

import json
import os
import urllib.request

URL = os.environ.get("URL", "http://127.0.0.1:3000")

notification = {"title": "From Python", "text": "By HTTP", "level": "warning"}
request = urllib.request.Request(f"{URL}/notify", data=json.dumps(notification).encode())
with urllib.request.urlopen(request, timeout=10) as response:
    print(response.read().decode(), end="")
