"""Lazy imports must not need a file descriptor: a scrape may arrive when none is left."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

# In a subprocess, where nothing has been imported yet.
_PROGRAM = """
import asyncio, contextlib, os, resource
{imports}

@contextlib.contextmanager
def no_descriptor_left():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 1, limits[1]))
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)

async def main():
{body}

asyncio.run(main())
"""


def run(imports: str, body: str) -> str:
    program = _PROGRAM.format(imports=dedent(imports), body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_response_is_rendered_in_a_thread() -> None:
    body = """
    with no_descriptor_left():
        result = await asyncio.to_thread(lambda: "rendered")
    print(result)
    """

    assert run("import exporter.web.server", body) == "rendered\n"


def test_a_password_is_checked() -> None:
    imports = """
    from pathlib import Path
    from tempfile import TemporaryDirectory
    import exporter.web.server
    from exporter.web.access.basic_auth import BasicAuth
    from exporter.web.access.live_config import LiveWebConfig
    """
    body = """
    with TemporaryDirectory() as folder:
        file = Path(folder, "web.yml")
        file.write_text("basic_auth_users: {a: $2b$04$4LnTZStQPAIy2nVieUVAAeaApZH3215baBJlUv/RQ24HPudAx4eIq}")
        policy = await LiveWebConfig(file).policy()
    with no_descriptor_left():
        result = await BasicAuth().check(policy.settings.users, "Basic YTpi")
    print(result.name)
    """

    assert run(imports, body) == "ALLOWED\n"


def test_the_status_page_says_why_it_is_missing_and_is_there_afterwards() -> None:
    imports = """
    import httpx
    from starlette.applications import Starlette
    import exporter.web.server
    from exporter.status.routes import status_routes
    """
    body = """
    app = Starlette(routes=status_routes(None, "/metrics", {"X-Every": "answer"}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        with no_descriptor_left():
            refused = await client.get("/")
        found = await client.get("/?nonsense=1")
    print(refused.status_code, refused.headers["X-Every"], refused.text)
    print(found.status_code)
    """

    assert run(imports, body) == "503 answer The page cannot be loaded: Too many open files.\n400\n"
