"""What monitoring gets of the real service: metrics by token and TLS, health with reasons, the way of a frame."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway import wait_for
from live import LiveRead

MONITORING = Path(__file__).parents[2] / "monitoring"


def ask(url: str, token: str | None = None, method: str = "GET", trust: Path | None = None) -> tuple[int, str]:
    """Status and body."""
    context = ssl.create_default_context(cafile=str(trust)) if trust else None
    handlers = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, method=method)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def url(gateway) -> str:
    return "http://%s:%d" % gateway.monitoring


def ready(base: str, **more) -> None:
    wait_for(lambda: ask(f"{base}/readyz", **more) == (200, "ok\n"), "the service is ready")


def test_metrics_want_the_token_over_tls_and_health_does_not(own_gateway, authority, tmp_path):
    token = tmp_path / "metrics.token"
    token.write_text("secret-1\n")
    gateway = own_gateway(metrics={"token": str(token)})
    plain = url(gateway)
    ready(plain)
    assert ask(f"{plain}/metrics")[0] == 401
    assert ask(f"{plain}/metrics", "secret-2")[0] == 401
    status, text = ask(f"{plain}/metrics", "secret-1")
    assert status == 200 and text.endswith("# EOF\n")
    assert re.search(r'^framegate_build_info\{version="[^"]+"\} 1$', text, re.M)
    for name in ("resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds", "cpu_seconds_total"):
        assert re.search(rf"^process_{name} [0-9.e+]+$", text, re.M), name
    token.write_text("secret-2")
    assert ask(f"{plain}/metrics", "secret-2")[0] == 200, "the file is read again"
    token.unlink()
    assert ask(f"{plain}/metrics", "secret-2")[0] == 503
    wait_for(lambda: "nobody can read metrics" in gateway.output, "it is told")
    assert ask(f"{plain}/livez") == (200, "ok\n")
    assert ask(f"{plain}/readyz", method="HEAD") == (200, "")
    assert ask(f"{plain}/readyz", method="POST")[0] == 405
    assert ask(f"{plain}/")[0] == 404
    assert "secret-" not in gateway.output


def test_with_a_certificate_it_is_tls(own_gateway, authority, tmp_path):
    token = tmp_path / "metrics.token"
    token.write_text("secret-1")
    identity = authority.leaf("metrics", server=True)
    files = {"certificate": str(identity.certificate), "key": str(identity.key)}
    gateway = own_gateway(metrics={"token": str(token), **files})
    secure = url(gateway).replace("http:", "https:")
    ready(secure, trust=authority.ca)
    status, text = ask(f"{secure}/metrics", "secret-1", trust=authority.ca)
    assert status == 200
    assert 'framegate_tls_certificate_expiry_timestamp_seconds{listener="metrics"}' in text
    assert ask(f"{secure}/metrics", trust=authority.ca)[0] == 401
    assert ask(f"{secure}/readyz", method="HEAD", trust=authority.ca) == (200, "")
    # Whoever speaks plain HTTP is told so, and counted.
    assert ask(f"{url(gateway)}/livez")[0] == 400
    text = ask(f"{secure}/metrics", "secret-1", trust=authority.ca)[1]
    assert 'framegate_http_connections_dropped_total{listener="metrics",reason="plain"} 1\n' in text


def test_the_way_of_a_frame_is_measured_from_stage_to_stage(own_gateway, http):
    gateway = own_gateway(pattern={"enabled": True, "fps": 30.0})
    shown = wait_for(lambda: http.get(f"{gateway.base}/series").json(), "the series is there")[0]
    study, series = (shown[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    reader = LiveRead(gateway, f"/studies/{study}/series/{series}?from=latest")
    for _ in range(6):
        reader.next_instance()
    samples = gateway.metrics()
    reader.hang_up()

    def count(stage: str, labels: str) -> float:
        return samples.get(f"framegate_frame_{stage}_seconds_count{{{labels}}}", 0)

    assert count("build", 'source="pattern"') >= 5
    assert count("publish", 'source="pattern"') >= 5
    there = 'source="pattern",sink="retrieve"'
    # The first one was there before the reader came; the last one may still be on its way.
    assert 4 <= count("latency", there) == count("send", there) <= count("wait", there), samples
    assert count("wait", there) <= count("publish", 'source="pattern"') - 1
    assert samples[f'framegate_frame_latency_seconds_bucket{{le="10.0",{there}}}'] == count("latency", there)
    assert not [name for name in samples if "frame_wait" in name and ("push" in name or "rendered" in name)]


def test_prometheus_takes_the_alert_rules():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's package prometheus) is not here")
    checked = subprocess.run(
        [promtool, "check", "rules", str(MONITORING / "alerts.yaml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
