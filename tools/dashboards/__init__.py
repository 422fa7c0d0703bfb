"""Writes the Grafana dashboards of ``docker/grafana/dashboards``: one module a dashboard, over common parts."""
