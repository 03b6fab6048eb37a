"""The Grafana dashboards as code: `python -m deploy.grafana.builder` writes deploy/grafana/dashboards/*.json."""
