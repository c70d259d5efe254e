"""Object stores for the tests of this directory, all on 127.0.0.1."""

from __future__ import annotations

import os
import uuid
from typing import NamedTuple

import boto3
import pytest
from botocore.config import Config

from aqz_core import S3Settings
from tests.s3 import ceph, fault_endpoint
from tests.s3.process import ServerError


class Bucket(NamedTuple):
    """A bucket of a real service, empty at first, and what a client needs to use it."""

    endpoint: str
    name: str
    key: str
    secret: str

    def settings(self, **options):
        """S3Settings for the bucket."""
        given = {"endpoint": self.endpoint, "bucket_name": self.name, "region": "us-east-1"}
        return S3Settings(**{**given, "key": self.key, "secret": self.secret, **options})

    @property
    def storage_options(self):
        """What s3fs needs."""
        return {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint}

    @property
    def client(self):
        """A plain client, for looking at the bucket."""
        return client_for(self.endpoint, self.key, self.secret)

    def listing(self):
        """Every key in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def uploads(self):
        """Keys of uploads that have begun and not ended."""
        answer = self.client.list_multipart_uploads(Bucket=self.name)
        return [item["Key"] for item in answer.get("Uploads", ())]


def client_for(endpoint, key, secret):
    """A boto3 client."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
    )


@pytest.fixture(autouse=True)
def _no_credentials_from_outside(monkeypatch, tmp_path):
    """Keep credentials and proxies of this machine out of the tests."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def endpoint():
    """The service that misbehaves on demand, with its bucket "bucket"."""
    with fault_endpoint.running() as service:
        yield service


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """A Ceph object gateway; started once, with a second attempt if the first fails."""
    missing = ceph.missing_programs()
    if missing:
        pytest.skip(f"Ceph is not installed ({', '.join(missing)}); tests/run installs it")
    for attempt in (1, 2):
        service = ceph.CephGateway(tmp_path_factory.mktemp(f"ceph-{attempt}"))
        try:
            service.start()
            break
        except ServerError:
            service.stop()
            if attempt == 2:
                raise
    service.spare = new_bucket(service)
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def bucket(gateway):
    """A new bucket of the Ceph gateway."""
    return new_bucket(gateway)


def new_bucket(gateway):
    """Make a bucket."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    client_for(gateway.endpoint, ceph.KEY, ceph.SECRET).create_bucket(Bucket=name)
    return Bucket(gateway.endpoint, name, ceph.KEY, ceph.SECRET)
