"""Chromium without a window, driven over a pipe: pages at any width, by mouse, finger and keys."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    " --no-first-run --remote-debugging-pipe"
)
LAUNCH = "import os, sys; [os.dup2(int(sys.argv[i]), i + 2) for i in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"
"""The browser reads commands from descriptor 3 and answers on 4."""
KEYS = {"Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}


# What a page should have none of: broken words, things that stick out, text of low contrast, controls without a name.
BROKEN = """(() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    if (!node.parentElement.checkVisibility() || node.parentElement.closest("script, style, svg")) continue;
    for (const match of node.data.matchAll(/[\\p{L}\\p{N}.,%]{2,}/gu)) {
      const range = document.createRange();
      range.setStart(node, match.index); range.setEnd(node, match.index + match[0].length);
      const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (tops.size > 1) found.push(match[0]);
    }
  }
  return found;
})()"""
OUTSIDE = """[...document.querySelectorAll("body *")].filter(one => one.checkVisibility()
  && !one.closest(".scroll, nav, svg, .quiet, .skip, thead") && one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.outerHTML.slice(0, 80))"""
PALE = """(() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const rgb = text => numbers(text).map((v, k) => text.startsWith("color(") && k < 3 ? 255 * v : v);  // mixed colours
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = text => [.2126, .7152, .0722].reduce((sum, share, k) => sum + share * linear(rgb(text)[k] / 255), 0);
  const ground = one => {
    while (one && rgb(getComputedStyle(one).backgroundColor)[3] === 0) one = one.parentElement;
    return one ? getComputedStyle(one).backgroundColor : "rgb(255, 255, 255)";
  };
  const words = one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const read = one => one.checkVisibility() && !one.closest("svg, :disabled, canvas") && words(one);
  return [...document.querySelectorAll("body *")].filter(read).filter(one => {
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
  }).map(one => one.outerHTML.slice(0, 80));
})()"""
CONTROLS = "button, input, select, textarea, a[href], summary, canvas, [role=img], [tabindex='0']"
NAMELESS = f"""[...document.querySelectorAll("{CONTROLS}")].filter(one => one.checkVisibility()
  && !(one.getAttribute("aria-label") || one.textContent.trim() || (one.labels && one.labels.length)))
  .map(one => one.outerHTML.slice(0, 80))"""


class Page:
    """One open page."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers, self._rest, self._number, self._session = to, answers, b"", 0, ""
        self.errors: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(answer["params"]["exceptionDetails"]))
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.errors.append(answer["params"]["entry"]["text"])
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answers, 1 << 20)
            if not more:
                raise RuntimeError("the browser ended")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(
        self, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False, touch: bool = False
    ) -> None:
        """Show a file in a window of that size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=file.as_uri())
        self.wait(f"location.href === {json.dumps(file.as_uri())} && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> Any:
        """Until the expression is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)
        return value

    def tap(self, x: float, y: float) -> None:
        """One finger, shortly."""
        self.touch([(x, y)])

    def touch(self, way: list[tuple[float, float]]) -> None:
        """One finger along a way."""
        for number, (x, y) in enumerate(way):
            self.call(
                "Input.dispatchTouchEvent", type="touchMove" if number else "touchStart", touchPoints=[{"x": x, "y": y}]
            )
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def pinch(self, x: float, y: float, near: float, far: float) -> None:
        """Two fingers around a place, from so far apart to so far."""
        for number, gap in enumerate(near + (far - near) * k / 8 for k in range(9)):
            fingers = [{"x": x - gap / 2, "y": y, "id": 0}, {"x": x + gap / 2, "y": y, "id": 1}]
            kind = "touchMove" if number else "touchStart"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def hover(self, x: float, y: float) -> None:
        """The mouse, without a button."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """The left button of the mouse."""
        self.drag([(x, y)])

    def drag(self, way: list[tuple[float, float]]) -> None:
        """The mouse along a way, its left button down."""
        button = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=way[0][0], y=way[0][1])
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=way[0][0], y=way[0][1], **button)
        for x, y in way[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=way[-1][0], y=way[-1][1], **button)

    def key(self, name: str) -> None:
        """One key, pressed and let go."""
        key = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": KEYS.get(name, 0)}
        text = {"text": "\r"} if name == "Enter" else {"text": name} if len(name) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def write(self, text: str) -> None:
        """Text into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))


@contextmanager
def browser(chromium: str, folder: Path) -> Iterator[Page]:
    """A browser with one page; ``folder`` keeps its profile."""
    (their_end, to), (answers, our_end) = os.pipe(), os.pipe()
    far = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_end, our_end)]
    command = [chromium, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"]
    launch = [sys.executable, "-c", LAUNCH, *map(str, far), *command]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(launch, pass_fds=far, **quiet)
    for end in (their_end, our_end, *far):
        os.close(end)
    try:
        page = Page(to, answers)
        page.attach()
        yield page
    finally:
        os.close(to)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        os.close(answers)
