"""Stand-ins for the group robots of DingTalk, Feishu and WeCom, which reject what the documented limits forbid."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.e2e.processes import GLANCE
from tests.e2e.shipped import ALERTMANAGER
from tests.e2e.shipped import read as shipped_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

TEMPLATES: Final = ALERTMANAGER.parent / "aliyun-vod.tmpl"
ADDRESSES: Final = {
    "dingtalk": "/robot/send?access_token=T",
    "feishu": "/open-apis/bot/v2/hook/T",
    "wecom": "/cgi-bin/webhook/send?key=T",
}
# The word that a message must contain, where the robot requires one.
KEYWORD: Final = "VOD"
# DingTalk and WeCom: 20 a minute; Feishu: 100.
MESSAGES_A_MINUTE: Final = {"dingtalk": 20, "feishu": 100, "wecom": 20}
_COLORS: Final = {"red", "orange", "green"}


@dataclass(frozen=True)
class Message:
    """What a group sees."""

    robot: str
    title: str
    text: str
    everybody: bool
    color: str = ""

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.text.split("\n")]


@dataclass
class Robots:
    """Three groups: what they show and what was refused."""

    url: str
    shown: list[Message] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)

    def address(self, robot: str) -> str:
        return f"{self.url}{ADDRESSES[robot]}"

    def take(self, path: str, body: bytes) -> dict[str, Any]:
        """The response, whose HTTP status is always 200."""
        robot = next(name for name, address in ADDRESSES.items() if address == path)
        self.requests[robot] += 1
        try:
            message = read(robot, body)
            check(self.requests[robot] <= MESSAGES_A_MINUTE[robot], "too many messages")
        except (ValueError, KeyError, TypeError) as error:
            self.refused.append(f"{robot}: {error!r}: {body.decode()}")
            return {"errcode": 310000, "code": 19001, "errmsg": str(error)}
        self.shown.append(message)
        return {"errcode": 0, "code": 0, "errmsg": "ok"}


def check(right: object, what: str) -> None:
    if not right:
        raise ValueError(what)


def texts(*values: object) -> None:
    for value in values:
        check(isinstance(value, str) and value.strip() != "", f"no text: {value!r}")


def only(document: Mapping[str, Any], *keys: str) -> list[Any]:
    check(set(document) == set(keys), f"{sorted(document)} instead of {sorted(keys)}")
    return [document[key] for key in keys]


def _dingtalk(body: bytes) -> Message:
    check(len(body) <= 20_000, "body 大小不合法;solution:请保持大小在 20000bytes 以内")
    kind, markdown, at = only(json.loads(body), "msgtype", "markdown", "at")
    check(kind == "markdown", "msgtype")
    title, text = only(markdown, "title", "text")
    texts(title, text)
    check(KEYWORD in title + text, "关键词不匹配")
    (everybody,) = only(at, "isAtAll")
    check(isinstance(everybody, bool), "isAtAll")
    return Message("dingtalk", title, text, everybody)


def _feishu(body: bytes) -> Message:
    check(len(body) <= 20 * 1024, "request too large")
    kind, card = only(json.loads(body), "msg_type", "card")
    check(kind == "interactive", "msg_type")
    _, header, elements = only(card, "config", "header", "elements")
    title, color = only(header, "title", "template")
    check(color in _COLORS, "template")
    check(title["tag"] == "plain_text", "tag")
    (element,) = elements
    check(element["tag"] == "markdown", "tag")
    texts(title["content"], element["content"])
    check(KEYWORD in title["content"] + element["content"], "Key Words Not Found")
    text, mention, _ = element["content"].partition("<at id=all></at>")
    return Message("feishu", title["content"], text.rstrip(), bool(mention), color)


def _wecom(body: bytes) -> Message:
    kind, markdown = only(json.loads(body), "msgtype", "markdown")
    check(kind == "markdown", "msgtype")
    (content,) = only(markdown, "content")
    texts(content)
    check(len(content.encode()) <= 4096, "markdown.content exceed max length 4096")
    return Message("wecom", "", content, everybody=False)


_READERS: Final[Mapping[str, Callable[[bytes], Message]]] = {"dingtalk": _dingtalk, "feishu": _feishu, "wecom": _wecom}


def read(robot: str, body: bytes) -> Message:
    """The message of a request; raises an error if the robot rejects it."""
    return _READERS[robot](body)


@contextlib.contextmanager
def robots() -> Generator[Robots]:
    """Listen on loopback."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = json.dumps(groups.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Do not log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        groups = Robots(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": GLANCE})
        thread.start()
        try:
            yield groups
        finally:
            server.shutdown()
            thread.join()


def configuration(folder: Path, groups: Robots, robot: str, language: str) -> str:
    """The shipped one after the commands that it names, with shorter times and the addresses of the robots in files."""
    (file := folder / "shipped.yml").write_text(ALERTMANAGER.read_text("utf-8"), "utf-8")
    choose, translate = re.findall(r"^# .*?sed -i '(.+)' alertmanager\.yml$", file.read_text("utf-8"), re.MULTILINE)
    commands = [choose.replace("feishu", robot)] + [translate] * (language == "zh")
    for command in commands:
        subprocess.run(["sed", "-i", command, file], check=True)
    shipped = shipped_yaml(file)
    shipped["templates"] = [str(TEMPLATES)]
    shipped["receivers"] = [one for one in shipped["receivers"] if "webhook_configs" in one]
    for receiver in shipped["receivers"]:
        (hook,) = receiver["webhook_configs"]
        (secret := folder / hook["url_file"].rpartition("/")[2]).write_text(groups.address(secret.name) + "\n")
        hook["url_file"] = str(secret)
    route = shipped["route"]
    route["routes"] = [one for one in route["routes"] if not one.get("receiver", "").startswith("mail")]
    for one in (route, *route["routes"]):
        one["routes"] = [each for each in one.get("routes", ()) if not each.get("receiver", "").startswith("mail")]
        one |= {"group_wait": "1s", "group_interval": "1s"}
    return yaml.safe_dump(shipped, allow_unicode=True)
