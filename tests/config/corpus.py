"""The folders of valid and invalid configuration files, and the environment for reading them."""

from pathlib import Path
from typing import Final

TESTDATA: Final = Path(__file__).parent / "testdata"
ENVIRON: Final = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIexample",
    "BROKEN": "\udcff",
    "HUGE": "9" * 5000,
    "NAME": "a",
}
