"""``aqz record`` takes its options about object stores to the store."""

from __future__ import annotations

import pytest

from aqz_core.cli import main

pytestmark = pytest.mark.micromanager


@pytest.fixture
def credentials(monkeypatch):
    """Credentials of the environment, the only ones that the command has."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-secret")


def recorded(endpoint, *options):
    """Run the command for six frames; return its exit code."""
    arguments = ["record", "--output", "s3://bucket/a.zarr", "--frames", "6", "--exposure", "1"]
    return main([*arguments, "--endpoint", endpoint.endpoint, "--region", "us-east-1", *options])


def test_the_endpoint_is_recorded_to(endpoint, credentials):
    assert recorded(endpoint) == 0
    assert any(name.startswith("a.zarr/0/c/") for name in endpoint.objects)


def test_the_profile_names_the_credentials(endpoint, monkeypatch, tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id = id\naws_secret_access_key = quite-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert recorded(endpoint, "--profile", "lab") == 0
    assert "a.zarr/0/zarr.json" in endpoint.objects


def test_a_spill_takes_over_and_is_sent(endpoint, credentials, tmp_path, capsys):
    endpoint.fail("denied", r"(PUT|POST) .*/c/")
    assert recorded(endpoint, "--spill", str(tmp_path / "spill")) == 0
    said = capsys.readouterr()
    assert f"aqz upload {tmp_path / 'spill'}" in said.out + said.err
    endpoint.recover()
    assert main(["upload", str(tmp_path / "spill"), "--endpoint", endpoint.endpoint]) == 0
    assert any(name.startswith("a.zarr/0/c/") for name in endpoint.objects)
