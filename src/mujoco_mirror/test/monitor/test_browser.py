"""The monitor as people use it: headless Chromium on a real monitor process.

The simulator is ``monitor_stand_in.py``: the product's own bridge around a toy arm.
"""

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from served import running
from sim_interfaces import msg as m
from sim_interfaces.action import Rollout

from mujoco_mirror.monitor.charts import CHARTS, Chart
from mujoco_mirror.monitor.feed import MonitorFeed
from mujoco_mirror.monitor.samples import ChunkSample, Health, StepSample
from mujoco_mirror.monitor.security import Token
from mujoco_mirror.monitor.server import MonitorServer
from mujoco_mirror.monitor.video import VideoFeed
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.types import SimState

pytestmark = pytest.mark.process

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMEDRIVER = shutil.which("chromedriver")
if not (CHROMIUM and CHROMEDRIVER):
    pytest.skip("needs chromium and chromedriver on the PATH", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.keys import Keys  # noqa: E402

TIMEOUT_S = 60.0
STAND_IN = Path(__file__).with_name("monitor_stand_in.py")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --window-size=1440,1000 "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()

NO_COMMANDS: Any = None  # nobody presses a button there


@pytest.fixture(scope="module")
def domain():
    return free_domain_id()


@pytest.fixture(scope="module")
def env(domain):
    return {"ROS_DOMAIN_ID": str(domain)}


def simulator(folder, env):
    return Process([sys.executable, STAND_IN], log=folder / "simulator.log", env=env)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, env):
    with simulator(tmp_path_factory.mktemp("simulator"), env) as process:
        yield process


class MonitorProcess(Process):
    """``base`` is its address and ``url`` the one with the token, as it printed them."""

    def started(self):
        wait_until(lambda: "#token=" in self.output() or not self.running, TIMEOUT_S, "the URL")
        self.url = re.search(r"http://\S+#token=\S+", self.output()).group()
        self.base = self.url.partition("#")[0]
        return self


def monitor(folder, env):
    arguments = ["--ros-args", "-p", "port:=0"]
    log = folder / "monitor.log"
    return MonitorProcess.module("mujoco_mirror.monitor", *arguments, log=log, env=env)


@pytest.fixture(scope="module")
def served(tmp_path_factory, env, simulated):
    with monitor(tmp_path_factory.mktemp("monitor"), env) as process:
        yield process.started()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.set_page_load_timeout(TIMEOUT_S)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):
    """A window of its own: no page has a token yet. A test fails when its page logged an error."""
    chromium.switch_to.new_window("window")
    window = chromium.current_window_handle
    for other in set(chromium.window_handles) - {window}:
        chromium.switch_to.window(other)
        chromium.close()
    chromium.switch_to.window(window)
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.get_log("browser")
    yield chromium
    log = chromium.get_log("browser")
    messages = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
    expected = ("status of 401", "WebSocket connection to")
    assert [m for m in messages if not any(e in m for e in expected)] == []


class Ros:
    """A node beside the monitor: starts rollouts and listens to verdicts."""

    def __init__(self, domain):
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node("test", context=self._context)
        self.verdicts = []
        self._node.create_subscription(m.StepInfo, names.VERDICT, self.verdicts.append, qos.LATCHED)
        self._rollout = ActionClient(self._node, Rollout, names.ROLLOUT)
        self._parameters = self._node.create_client(GetParameters, "companions/get_parameters")
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()

    def start_rollout(self, episodes=1000):
        assert self._rollout.wait_for_server(TIMEOUT_S)
        # A server that is seen may not see us yet, and its answer would be lost.
        wait_until(self._rollout_answers, TIMEOUT_S, "the rollout knows this node")
        goal = Rollout.Goal(episodes=episodes)
        handle = self._answer(lambda: self._rollout.send_goal_async(goal), "the rollout's answer")
        assert handle.accepted
        return handle

    def _answer(self, ask, what):
        """Asks in the spinning thread: rclpy's action client drops an answer that the executor
        takes before the thread that asked has written down that it waits for one."""
        asked = self._executor.create_task(ask)
        wait_until(asked.done, TIMEOUT_S, what)
        future = asked.result()
        wait_until(future.done, TIMEOUT_S, what)
        return future.result()

    def _rollout_answers(self):
        asked = self._parameters.call_async(GetParameters.Request(names=["use_sim_time"]))
        until = time.monotonic() + 1.0
        while not asked.done() and time.monotonic() < until:
            time.sleep(0.01)
        return asked.done()

    def ended(self, goal):
        """How the rollout ended."""
        return self._answer(goal.get_result_async, "the rollout ends").status

    def cancel(self, goal):
        """The rollout's status once a request to stop it was accepted."""
        self._answer(goal.cancel_goal_async, "the cancellation's answer")
        return self.ended(goal)

    def close(self):
        self._executor.shutdown()
        self._thread.join(TIMEOUT_S)
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture(scope="module")
def ros(domain):
    node = Ros(domain)
    yield node
    node.close()


@pytest.fixture
def rollout(ros, simulated):
    """A rollout that goes on for as long as the test."""
    goal = ros.start_rollout()
    yield goal
    ros.cancel(goal)


class Page:
    """What a person sees of the page."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.get(url)

    def text(self, element):
        return self.driver.find_element("id", element).text.strip()

    def tile(self, name):
        """The number in a tile, once there is one."""
        number = re.compile(r"-?\d+(\.\d+)?")
        found = wait_until(
            lambda: number.match(self.text(f"tile-{name}")), TIMEOUT_S, f"a number for {name}"
        )
        return float(found.group())

    def click(self, button):
        self.driver.find_element("id", button).click()

    def shows(self, element, pattern):
        wait_until(
            lambda: re.search(pattern, self.text(element)), TIMEOUT_S, f"{element} shows {pattern}"
        )

    def picture(self):
        """A digest of the video's pixels."""
        return self.driver.execute_script(
            """const c = document.getElementById("video");
            const bytes = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            let sum = 0;
            for (let i = 0; i < bytes.length; i += 97) sum = (sum * 31 + bytes[i]) % 1000000007;
            return sum;"""
        )

    def rows(self, title):
        return int(self._plot(title).get_attribute("data-rows") or 0)

    def ink(self, title):
        """How many pixels of a plot are drawn on."""
        return self.driver.execute_script(
            """const c = arguments[0].querySelector("canvas");
            const bytes = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            let drawn = 0;
            for (let i = 3; i < bytes.length; i += 4) drawn += bytes[i] > 0;
            return drawn;""",
            self._plot(title),
        )

    def grows(self, title):
        """Waits until a plot has more rows and other pixels; a new episode starts it over."""
        looks = [(self.rows(title), self.ink(title))]

        def grew():
            rows, ink = self.rows(title), self.ink(title)
            if rows < looks[-1][0] or looks[-1][0] == 0:
                looks.append((rows, ink))
            return rows > looks[-1][0] > 0 and ink != looks[-1][1]

        wait_until(grew, TIMEOUT_S, f"{title} grows")

    def _plot(self, title):
        """The page has no plots before the monitor has described them."""
        wanted = ("css selector", f'.plot[aria-label="{title}"]')
        wait_until(lambda: self.driver.find_elements(*wanted), TIMEOUT_S, f"the plot {title}")
        return self.driver.find_element(*wanted)


def test_the_video_moves_and_the_plots_grow(browser, served, rollout):
    page = Page(browser, served.url)
    page.shows("link", "live")
    assert page.text("task") == "ToyReach-v0"
    first = wait_until(page.picture, TIMEOUT_S, "a picture")
    wait_until(lambda: page.picture() not in (0, first), TIMEOUT_S, "another picture")
    for title in ("Joint positions", "Action", "Reward", "Action chunks", "Simulator step"):
        page.grows(title)
    assert page.tile("episode") >= 1
    wait_until(lambda: page.tile("fps") > 0, TIMEOUT_S, "pictures per second")
    wait_until(lambda: page.tile("lag") > 0, TIMEOUT_S, "a lag")
    page.shows("tile-error", "0.021")
    page.shows("health", "mirror: fidelity")


def test_a_new_chart_is_one_entry_and_the_page_builds_it(browser):
    """With plots that the page has never heard of, one of them without any row."""
    charts = (
        *CHARTS,
        Chart("clock", "Clock", SimState, lambda s, e: (s.time_s, 2.0), "No clock", ("t", "two")),
        Chart("never", "Never", Health, lambda s, e: (), "Nothing to see"),
    )
    feed = MonitorFeed(charts=charts)
    with running(
        MonitorServer(feed, VideoFeed(), NO_COMMANDS, Token("a-token-of-some-length")).app
    ) as port:
        page = Page(browser, f"http://127.0.0.1:{port}/")
        for step in range(30):
            feed.on_state(SimState(0.1 * step, 1, step, ("arm/pan",), np.zeros(1)))
        wait_until(lambda: page.rows("Clock") == 30, TIMEOUT_S, "the clock's rows")
        assert page.ink("Clock") > 0
        assert page.rows("Never") == 0
        titles = [
            p.get_attribute("aria-label") for p in browser.find_elements("class name", "plot")
        ]
        assert titles == [chart.title for chart in charts]
        page.shows("tile-step", "29")
        browser.get("about:blank")


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The accessibility checker's script, as npm has it."""
    folder = tmp_path_factory.mktemp("axe")
    if not shutil.which("npm"):
        pytest.skip("needs npm for axe-core")
    fetched = subprocess.run(
        ["npm", "pack", "--silent", "axe-core@4"], cwd=folder, capture_output=True, text=True,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    if fetched.returncode:
        pytest.skip(f"npm cannot fetch axe-core: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as package:
        return package.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_accessibility_checker_finds_nothing(browser, served, rollout, axe, scheme, width):
    dark = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page = Page(browser, served.url)
    page.shows("link", "live")
    page.shows("health", "mirror: fidelity")
    browser.execute_script(axe)
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then((result) => done(result.violations))"
    )
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []
    sizes = browser.execute_script(
        """return [...document.querySelectorAll("button")].map((b) => {
            const box = b.getBoundingClientRect();
            return [box.width, box.height, box.left, box.right];
        });"""
    )
    assert all(w >= 44 and h >= 44 and 0 <= x and right <= width for w, h, x, right in sizes)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_policy_and_the_success_rate_are_on_the_page_and_like_axes_are_one(browser):
    feed = MonitorFeed()
    server = MonitorServer(feed, VideoFeed(), NO_COMMANDS, Token("a-token-of-some-length"))
    axes = """return document.querySelector('.plot[aria-label="Reward"]')
        .querySelectorAll(".u-axis").length"""
    with running(server.app) as port:
        page = Page(browser, f"http://127.0.0.1:{port}/")
        page.shows("tile-success", "no episode has ended")
        page.shows("episodes", "start a rollout or press Reset")
        feed.on_chunk(ChunkSample(1, 0, 0.01, policy="openpi: ws://gpu:8000"))
        feed.on_step(StepSample(1, 1, np.zeros(1), 1.0, terminated=True, success=True))
        page.shows("tile-progress", "none is running")
        values = (("episode", "3"), ("episodes", "30"), ("time_left_s", "200.0"))
        feed.on_health([Health(names.ROLLOUT_PROGRESS, 0, "", values)])
        page.shows("tile-progress", r"3\s+of 30 · 3 min left")
        page.shows("policy", "openpi: ws://gpu:8000")
        page.shows("tile-success", r"100 %\s+21–100 % · 1 of 1")
        wait_until(lambda: page.rows("Reward") == 1, TIMEOUT_S, "the reward's row")
        assert browser.execute_script(axes) == 2
        for step in range(1, 30):
            feed.on_step(StepSample(2, step, np.zeros(1), 1.0))
        wait_until(lambda: browser.execute_script(axes) == 3, TIMEOUT_S, "the return's axis")
        browser.get("about:blank")


def test_two_people_watch_at_once(browser, served, rollout):
    first = Page(browser, served.url)
    first.shows("link", "live")
    browser.switch_to.new_window("window")
    second = Page(browser, served.base)
    second.shows("link", "live")
    start = wait_until(second.picture, TIMEOUT_S, "a picture")
    wait_until(lambda: second.picture() != start, TIMEOUT_S, "another picture")
    browser.switch_to.window(browser.window_handles[0])
    start = first.picture()
    wait_until(lambda: first.picture() != start, TIMEOUT_S, "another picture in the first window")


def test_stop_cancels_the_rollout(browser, served, ros, simulated):
    goal = ros.start_rollout()
    page = Page(browser, served.url)
    page.shows("link", "live")
    page.click("stop")
    page.shows("toast", "Stopping 1 run")
    assert ros.ended(goal) == 5  # GoalStatus.STATUS_CANCELED
    page.shows("link", "idle")


def test_reset_starts_an_episode_even_under_a_running_rollout(browser, served, ros, simulated):
    goal = ros.start_rollout()
    page = Page(browser, served.url)
    wait_until(lambda: page.rows("Joint positions") > 5, TIMEOUT_S, "an episode under way")
    page.click("reset")
    page.shows("toast", r"Episode \d+ started")
    assert ros.ended(goal) == 5
    started = int(re.search(r"\d+", page.text("toast")).group())
    wait_until(lambda: page.tile("episode") == started, TIMEOUT_S, "the new episode is on the page")
    assert page.tile("step") == 0
    assert page.rows("Joint positions") == 1
    page.shows("episodes", rf"{started} (running|unfinished)")


def test_reset_works_from_the_keyboard(browser, served, simulated):
    page = Page(browser, served.url)
    page.shows("link", "live|idle")
    for _ in range(10):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.get_attribute("id") == "reset":
            break
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.shows("toast", r"Episode \d+ started")
    episode = page.text("toast")
    browser.switch_to.active_element.send_keys(Keys.ALT, "r")
    wait_until(lambda: page.text("toast") not in ("", episode), TIMEOUT_S, "one more by Alt+R")
    page.shows("toast", r"Episode \d+ started")


def test_mark_success_is_published_and_shown(browser, served, rollout, ros):
    page = Page(browser, served.url)
    page.shows("link", "live")
    page.click("mark_success")
    page.shows("toast", r"Episode \d+ marked as a success")
    marked = int(re.search(r"\d+", page.text("toast")).group())
    page.shows("episodes", f"{marked} .*marked success")
    wait_until(
        lambda: any(v.success and v.episode == marked for v in ros.verdicts), TIMEOUT_S, "verdict"
    )


def test_a_wrong_token_is_refused_and_nothing_acts(browser, served, rollout):
    page = Page(browser, served.base + "#token=this-is-not-the-token")
    page.shows("link", "live")
    marks = page.text("episodes").count("marked")
    for button in ("stop", "reset", "mark_success"):
        browser.execute_script("document.getElementById('toast').textContent = ''")
        page.click(button)
        page.shows("toast", "Refused: The token is wrong")
    seen = page.tile("episode"), page.tile("step")
    wait_until(
        lambda: (page.tile("episode"), page.tile("step")) != seen, TIMEOUT_S, "still running"
    )
    assert page.text("episodes").count("marked") == marks


def test_without_a_token_one_can_only_watch(browser, served, rollout):
    page = Page(browser, served.base)
    page.shows("link", "live")
    for button in ("stop", "reset", "mark_success"):
        element = browser.find_element("id", button)
        assert not element.is_enabled()
        assert "View only" in element.get_attribute("title")


def test_the_token_leaves_the_address_bar_and_survives_a_reload(browser, served, simulated):
    page = Page(browser, served.url)
    assert browser.current_url == served.base
    browser.refresh()
    page.shows("link", "live|idle")
    page.click("reset")
    page.shows("toast", r"Episode \d+ started")


@contextlib.contextmanager
def forwarded(port):
    """A TCP relay to ``port``, as ``ssh -L`` makes one; yields its own port."""

    async def pump(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async def serve():
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        started.append(server.sockets[0].getsockname()[1])
        started.append(asyncio.get_running_loop())
        await finished.wait()
        server.close()  # asyncio.run ends the relays that are still open

    started, finished = [], asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    wait_until(lambda: len(started) == 2, TIMEOUT_S, "the relay serves")
    try:
        yield started[0]
    finally:
        started[1].call_soon_threadsafe(finished.set)
        thread.join(TIMEOUT_S)


def test_a_forwarded_port_shows_and_acts(browser, served, simulated):
    port = int(re.search(r":(\d+)/", served.base).group(1))
    with forwarded(port) as near:
        page = Page(browser, served.url.replace(f"127.0.0.1:{port}", f"localhost:{near}"))
        page.shows("link", "live|idle")
        page.click("reset")
        page.shows("toast", r"Episode \d+ started")
        wait_until(page.picture, TIMEOUT_S, "a picture")
        browser.get("about:blank")


def test_a_simulator_is_waited_for_lost_and_found_again(browser, tmp_path):
    """On a domain of its own, for nothing may be there at first."""
    domain = free_domain_id()
    env = {"ROS_DOMAIN_ID": str(domain)}
    with monitor(tmp_path, env) as process:
        page = Page(browser, process.started().base)
        page.shows("link", "waiting for simulator")
        with contextlib.closing(Ros(domain)) as ros, simulator(tmp_path, env) as first:
            page.shows("link", "idle")
            ros.start_rollout()
            page.shows("link", "live")
            first.signal(signal.SIGKILL)
            page.shows("link", "simulator lost")
            page.shows("banner", "Simulator lost.*Last state")
        with contextlib.closing(Ros(domain)) as ros, simulator(tmp_path, env):
            page.shows("link", "idle")
            assert page.text("banner") == ""
            ros.start_rollout()
            page.shows("link", "live")
        page.shows("link", "simulator lost")
        process.stop()
        page.shows("link", "monitor unreachable")
        browser.get("about:blank")


def test_the_mirror_of_a_real_task_is_on_the_page(browser, tmp_path):
    """No stand-in: the default task, drawn by the mirror, stepped by a client, reset by a click."""
    domain = free_domain_id()
    env = {"ROS_DOMAIN_ID": str(domain)}
    with contextlib.ExitStack() as stack:
        small = ("--ros-args", "-p", "width:=160", "-p", "height:=120")
        for module, words in (("sim_bridge", ()), ("mujoco_mirror", small)):
            log = tmp_path / f"{module}.log"
            stack.enter_context(Process.module(module, *words, log=log, env=env))
        process = stack.enter_context(monitor(tmp_path, env)).started()
        stepper = stack.enter_context(stepping(domain))
        page = Page(browser, process.url)
        page.shows("task", "SO101PickPlace-v0")
        first = wait_until(page.picture, TIMEOUT_S, "a picture")
        wait_until(lambda: page.picture() not in (0, first), TIMEOUT_S, "another picture")
        wait_until(lambda: page.rows("Action") > 5, TIMEOUT_S, "actions")
        stepper.set()
        page.shows("link", "idle")
        episode = page.tile("episode")
        page.click("reset")
        page.shows("toast", r"Episode \d+ started")
        wait_until(lambda: page.tile("episode") == episode + 1, TIMEOUT_S, "the next episode")
        browser.get("about:blank")


@contextlib.contextmanager
def stepping(domain):
    """A client that moves the arm at 10 Hz until the yielded event is set."""
    context, done = Context(), threading.Event()
    rclpy.init(context=context, domain_id=domain)
    node = Node("stepper", context=context)
    bridge = BridgeClient(node, timeout_s=TIMEOUT_S)

    def run():
        bridge.wait_for_bridge(TIMEOUT_S)
        action = np.array([0.5, -0.5, 0.2, 1.0])
        while not done.is_set():
            reply = bridge.reset()
            while not (done.wait(0.1) or reply.done):
                reply = bridge.step(action)
                action[:3] *= -1.0 if reply.state.step % 10 == 0 else 1.0
        bridge.release()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        done.set()
        thread.join(TIMEOUT_S)
        node.destroy_node()
        context.try_shutdown()
