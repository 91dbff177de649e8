"""The monitor's server on its own, over real sockets: pages, refusals, commands, WebSockets."""

import contextlib
import json
import socket

import httpx
import numpy as np
import pytest
import simplejpeg
from served import running
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mujoco_mirror.monitor.feed import MonitorFeed
from mujoco_mirror.monitor.security import Token, is_loopback
from mujoco_mirror.monitor.server import MonitorServer
from mujoco_mirror.monitor.video import Picture, VideoFeed
from sim_bridge.errors import LeaseHeld, TimedOut
from sim_bridge.processes.testing import wait_until
from sim_bridge.types import SimState

SECRET = "a-token-of-some-length"
AUTHORIZED = {"Authorization": f"Bearer {SECRET}"}


class Recorded:
    """Commands that remember having been called."""

    def __init__(self):
        self.calls = []
        self.error = None

    def __getattr__(self, name):
        def call():
            if self.error:
                raise self.error
            self.calls.append(name)
            return f"did {name}"

        return call


@pytest.fixture
def feed():
    return MonitorFeed()


@pytest.fixture
def video():
    return VideoFeed()


@pytest.fixture
def commands():
    return Recorded()


@pytest.fixture
def app(feed, video, commands):
    return MonitorServer(feed, video, commands, Token(SECRET), data_rate_hz=100.0).app


@pytest.fixture
def port(app):
    with running(app) as port:
        yield port


@pytest.fixture
def client(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
        yield client


@pytest.fixture
def watch(port):
    """Opens a WebSocket; closed at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda path, **options: stack.enter_context(
            connect(f"ws://127.0.0.1:{port}{path}", **options)
        )


def a_state(episode, step):
    return SimState(
        time_s=0.1 * step,
        episode=episode,
        step=step,
        joint_names=("arm/pan",),
        joint_positions=np.ones(1),
    )


def a_picture(shade):
    return Picture(image=np.full((48, 64, 3), shade, np.uint8))


def shade_of(jpeg):
    return round(float(simplejpeg.decode_jpeg(jpeg).mean()))


def test_the_page_and_its_assets_are_served_with_a_policy_against_foreign_code(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    paths = [p.split('"')[0] for p in page.text.split('"/')[1:]]
    assert any(p.endswith(".js") for p in paths) and any(p.endswith(".css") for p in paths)
    for path in paths:
        assert client.get(f"/{path}").status_code == 200, path
    assert "http://" not in page.text and "https://" not in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static/vendor/%2e%2e/%2e%2e/server.py",
        "/static//etc/passwd",
    ],
)
def test_nothing_outside_the_assets_is_served(port, path):
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert b" 404 " in answer.splitlines()[0]
    assert b"MonitorServer" not in answer and b"root:" not in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9000", "127.0.0.1.evil.example", ""]
)
def test_a_rebound_name_is_refused(client, commands, host):
    assert client.get("/", headers={"Host": host}).status_code == 403
    answer = client.post("/api/commands/reset", headers={**AUTHORIZED, "Host": host})
    assert answer.status_code == 403
    assert commands.calls == []


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:4711", "[::1]:9000"])
def test_a_forwarded_port_may_have_any_number(client, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1234", "http://["]
)
def test_another_site_can_neither_watch_nor_act(client, watch, commands, origin):
    headers = {**AUTHORIZED, "Origin": origin}
    assert client.post("/api/commands/reset", headers=headers).status_code == 403
    for path in ("/ws/data", "/ws/video"):
        with pytest.raises(InvalidStatus) as refused:
            watch(path, origin=origin)
        assert refused.value.response.status_code == 403
    assert commands.calls == []


def test_a_further_name_can_be_allowed(feed, video, commands):
    app = MonitorServer(feed, video, commands, Token(SECRET), hosts=["Robot-Lab"]).app
    with running(app) as port:
        url = f"http://127.0.0.1:{port}/"
        assert httpx.get(url, headers={"Host": "robot-lab:9000"}).status_code == 200
        assert httpx.get(url, headers={"Host": "other-lab:9000"}).status_code == 403


@pytest.mark.parametrize("name", ["stop", "reset", "mark_success"])
def test_the_token_lets_each_command_act(client, commands, name):
    answer = client.post(f"/api/commands/{name}", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()) == (200, {"message": f"did {name}"})
    assert commands.calls == [name]


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", f"Bearer {SECRET}x", SECRET, f"Basic {SECRET}", "Bearer ä"],
)
def test_without_the_token_nothing_acts(client, commands, authorization):
    headers = {"Authorization": authorization.encode("latin-1")}
    answer = client.post("/api/commands/reset", headers=headers)
    assert answer.status_code == 401
    assert "token" in answer.json()["message"]
    assert client.post(f"/api/commands/reset?token={SECRET}").status_code == 401
    assert commands.calls == []


def test_only_known_commands_and_only_by_post(client, commands):
    assert client.post("/api/commands/__class__", headers=AUTHORIZED).status_code == 404
    assert client.get("/api/commands/reset", headers=AUTHORIZED).status_code == 405
    assert commands.calls == []


@pytest.mark.parametrize(
    ("error", "status"), [(LeaseHeld("client 'x' has control"), 409), (TimedOut("no answer"), 504)]
)
def test_a_refusal_of_the_simulator_is_passed_on(client, commands, error, status):
    commands.error = error
    answer = client.post("/api/commands/reset", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["message"]) == (status, str(error))


def test_short_tokens_are_refused():
    with pytest.raises(ValueError, match="16"):
        Token("short")


def test_which_addresses_stay_on_this_machine():
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "robot-lab")))


def test_a_viewer_gets_everything_first_and_then_what_is_new(watch, feed):
    feed.on_state(a_state(1, 0))
    feed.on_state(a_state(1, 1))
    viewer = watch("/ws/data")
    first = receive(viewer)
    assert first["series"]["state"]["x"] == [0, 1]
    assert first["charts"][0]["labels"] == ["pan"]
    feed.on_state(a_state(1, 2))
    rows = next_rows(viewer)
    assert (rows["reset"], rows["x"]) == (False, [2])
    second = watch("/ws/data")
    assert receive(second)["series"]["state"]["x"] == [0, 1, 2]
    feed.on_state(a_state(1, 3))
    assert next_rows(second)["x"] == next_rows(viewer)["x"] == [3]


def receive(viewer):
    return json.loads(viewer.recv(timeout=30.0))


def next_rows(viewer):
    """The next state rows; heartbeats in between carry none."""
    while True:
        series = receive(viewer).get("series", {})
        if "state" in series:
            return series["state"]


def test_a_quiet_simulator_still_gives_a_heartbeat(watch):
    viewer = watch("/ws/data")
    assert receive(viewer)["status"]["link"] == "waiting"
    assert set(receive(viewer)) == {"status"}


@pytest.fixture
def encodings(monkeypatch):
    """One entry for each encoding."""
    made = []
    encode = Picture.encoded
    monkeypatch.setattr(Picture, "encoded", lambda self: made.append(1) or encode(self))
    return made


def test_a_picture_is_encoded_once_for_all_viewers(watch, video, encodings):
    viewers = [watch("/ws/video") for _ in range(3)]
    video.put(a_picture(90))
    frames = [viewer.recv(timeout=30.0) for viewer in viewers]
    assert frames[0] == frames[1] == frames[2]
    assert shade_of(frames[0]) == 90
    assert len(encodings) == 1


def test_pictures_nobody_watches_are_not_encoded(watch, video, encodings):
    for shade in range(50):
        video.put(a_picture(shade))
    # The newest is there at once.
    assert shade_of(watch("/ws/video").recv(timeout=30.0)) == 49
    assert len(encodings) == 1


def test_pictures_are_wanted_while_somebody_watches_and_a_little_longer():
    now = [100.0]
    video = VideoFeed(clock=lambda: now[0])
    app = MonitorServer(MonitorFeed(), video, Recorded(), Token(SECRET)).app
    assert not video.wanted()
    with running(app) as port:
        url = f"ws://127.0.0.1:{port}/ws/video"
        with connect(url), connect(url):
            wait_until(video.wanted, 30.0, "wanted")
            now[0] += 1000.0
            assert video.wanted()
        assert video.wanted()
        wait_until(lambda: later(now, 1.0) and not video.wanted(), 30.0, "no longer wanted")


def later(now, seconds):
    now[0] += seconds
    return True


def test_a_jpeg_passes_through_untouched(watch, video):
    jpeg = a_picture(33).encoded()
    viewer = watch("/ws/video")
    video.put(Picture(jpeg=jpeg))
    assert viewer.recv(timeout=30.0) == jpeg


def test_grey_pictures_are_shown(watch, video):
    viewer = watch("/ws/video")
    video.put(Picture(image=np.full((48, 64), 77, np.uint8)))
    assert shade_of(viewer.recv(timeout=30.0)) == 77


def test_a_slow_viewer_skips_pictures_and_a_fast_one_gets_them(watch, video):
    """The slow one confirms nothing: it may have two pictures, and the newest once it does."""
    slow, fast = watch("/ws/video"), watch("/ws/video")
    received = []
    for shade in range(0, 200, 10):
        video.put(a_picture(shade))
        received.append(shade_of(fast.recv(timeout=30.0)))
        fast.send("")
    assert received == list(range(0, 200, 10))
    assert [shade_of(slow.recv(timeout=30.0)) for _ in range(2)] == [0, 10]
    with pytest.raises(TimeoutError):
        slow.recv(timeout=0.3)
    slow.send("")
    assert shade_of(slow.recv(timeout=30.0)) == 190


def test_a_viewer_that_confirms_too_much_gains_nothing(watch, video):
    viewer = watch("/ws/video")
    for _ in range(100):
        viewer.send("")
    video.put(a_picture(50))
    assert shade_of(viewer.recv(timeout=30.0)) == 50


def test_viewers_come_and_go_and_the_server_ends_with_one_on_it(app):
    with contextlib.ExitStack() as later, running(app) as port:
        url = f"ws://127.0.0.1:{port}/ws/data"
        for _ in range(5):
            with connect(url) as viewer:
                receive(viewer)
        receive(later.enter_context(connect(url)))
