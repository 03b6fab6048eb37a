"""Write the dashboards as JSON, where Grafana's provisioning and the test look for them."""

from __future__ import annotations

import sys

from deploy.grafana.builder.written import FOLDER, texts

for name, text in texts().items():
    (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{FOLDER / name}\n")
