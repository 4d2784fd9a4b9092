"""The settings of the hop between gateways and workers, from the environment to a call."""

import shutil

import httpx
import pytest
from tests.integration.edge.authority import Authority
from tests.integration.platform.conftest import running

from aether.cli.hop_settings import cluster_keys, hop_tls
from aether.cli.settings import InvalidSettings, load_settings
from aether.http import Side
from aether.vmm.simulated.behaviour import Behaviour

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@needs_openssl
async def test_a_platform_with_a_key_and_certificates_answers_its_gateway_and_nobody_else(
    tmp_path, monkeypatch
):
    authority = Authority(tmp_path)
    cert, key = authority.certificate("everybody")
    monkeypatch.setenv("AETHER_CLUSTER_KEY", "a-key-of-the-cluster,the-next-one-of-it")
    for name, file in {"CERT": cert, "KEY": key, "CA": authority.cert}.items():
        monkeypatch.setenv(f"AETHER_HOP_{name}", str(file))
    async with running(tmp_path / "data", lambda _spec: Behaviour()) as platform:
        function_id = await platform.deploy("hello")
        assert (await platform.client.get("/functions/hello/")).status_code == 200
        (instance,) = platform.embedded.gateway.routes.instances(function_id)
        assert (instance.tls, instance.keyed) == (True, True)
        async with httpx.AsyncClient(trust_env=False) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get(f"http://{instance.host_ip}:{instance.proxy_port}/")


@pytest.mark.parametrize(
    ("told", "keys"),
    [
        ("", []),
        ("one-key-of-a-cluster", ["one-key-of-a-cluster"]),
        ("one-key-of-a-cluster, next-key-of-a-cluster\n", ["one-key-of-a-cluster", "next-key-of-a-cluster"]),
    ],
)
def test_one_key_or_several(monkeypatch, told, keys):
    monkeypatch.setenv("AETHER_CLUSTER_KEY", told)
    assert cluster_keys(load_settings()) == keys


@pytest.mark.parametrize(
    "told", ["short", "a-key-with-ümlauts-in-it", "x" * 257, "good-key-of-a-cluster,short"]
)
def test_a_key_that_is_none_is_refused_and_not_shown(monkeypatch, told):
    monkeypatch.setenv("AETHER_CLUSTER_KEY", told)
    with pytest.raises(InvalidSettings, match="AETHER_CLUSTER_KEY") as refused:
        cluster_keys(load_settings())
    assert told not in str(refused.value)


def test_no_files_no_tls():
    assert hop_tls(load_settings(), Side.CLIENT) is None


def test_some_of_the_files_are_not_enough(monkeypatch):
    monkeypatch.setenv("AETHER_HOP_CERT", "/some.pem")
    with pytest.raises(InvalidSettings, match="AETHER_HOP_KEY and AETHER_HOP_CA is missing"):
        hop_tls(load_settings(), Side.CLIENT)


@needs_openssl
@pytest.mark.parametrize("part", ["CERT", "KEY", "CA"])
def test_a_wrong_file_is_named_by_its_setting(monkeypatch, tmp_path, part):
    authority = Authority(tmp_path)
    cert, key = authority.certificate("x")
    for name, file in {"CERT": cert, "KEY": key, "CA": authority.cert}.items():
        monkeypatch.setenv(f"AETHER_HOP_{name}", str(tmp_path / "none" if name == part else file))
    with pytest.raises(InvalidSettings, match=f"AETHER_HOP_{part}: .*No such file"):
        hop_tls(load_settings(), Side.SERVER)
