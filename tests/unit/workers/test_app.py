"""Which guarantees each broker is configured for; making the app connects to nothing."""

from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from workers.app import make_celery


def app_for(tmp_path: Path, broker: str) -> Any:
    env = {"RUNG_HOME": str(tmp_path / "home"), "RUNG_BROKER_URL": broker}
    return make_celery(Settings.from_environment(env)).conf


@pytest.mark.parametrize(
    "broker", ["filesystem://", "redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"]
)
def test_at_least_once_json_only_one_at_a_time(tmp_path: Path, broker: str) -> None:
    conf = app_for(tmp_path, broker)
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"] and conf.task_serializer == "json"
    assert conf.task_ignore_result
    assert not conf.worker_enable_remote_control


def test_each_broker_has_what_it_needs(tmp_path: Path) -> None:
    folder = app_for(tmp_path, "filesystem://").broker_transport_options
    for name in ("data_folder_in", "data_folder_out", "control_folder"):
        path = Path(folder[name])
        assert path.is_dir() and path.is_relative_to(tmp_path / "home" / "broker")
        assert path.stat().st_mode & 0o077 == 0
    assert folder["data_folder_in"] == folder["data_folder_out"]
    redis = app_for(tmp_path, "redis://127.0.0.1:1/0").broker_transport_options
    assert redis["visibility_timeout"] <= 60 and redis["unacked_restore_throttle"] == 1
    amqp = app_for(tmp_path, "amqp://127.0.0.1:1//").broker_transport_options
    assert amqp["confirm_publish"] is True


def test_rabbitmq_keeps_the_queue_on_several_nodes(tmp_path: Path) -> None:
    (quorum,) = app_for(tmp_path, "amqp://127.0.0.1:1//").task_queues
    assert quorum.queue_arguments == {"x-queue-type": "quorum"} and quorum.durable
    assert app_for(tmp_path, "amqp://127.0.0.1:1//").worker_detect_quorum_queues
    for broker in ("filesystem://", "redis://127.0.0.1:1/0"):
        (plain,) = app_for(tmp_path, broker).task_queues
        assert not plain.queue_arguments
