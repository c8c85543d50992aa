"""Makes the Celery app: at least once, one message at a time, JSON only, results in the ledger."""

from typing import Any

from celery import Celery
from kombu.entity import Queue

from core.settings import Settings

QUEUE = "rung"
# The ledger makes a message that comes twice harmless, so an early redelivery costs nothing.
REDIS: dict[str, Any] = {
    "visibility_timeout": 60,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 5,
    "socket_timeout": 10,  # a slow Redis is worse than a dead one
}
AMQP: dict[str, Any] = {"confirm_publish": True, "connect_timeout": 5}
POLL_S = 0.2  # listing one folder five times a second costs nothing that could be measured


def make_celery(settings: Settings) -> Celery:
    """Nothing is connected yet; a filesystem:// broker gets its folder."""
    folder = settings.broker_url.startswith("filesystem://")
    broker = "filesystem://localhost//" if folder else settings.broker_url
    app = Celery("rung", broker=broker, set_as_current=False, fixups=[])
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_publish_retry=False,  # the outbox tries again, and must not wait in here
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=100,  # of a prefork pool: memory that a library leaks ends there
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_proc_alive_timeout=60,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_default_queue=QUEUE,
        task_queues=[_queue(settings)],
        worker_detect_quorum_queues=True,  # they take no prefetch count of a whole channel
        task_create_missing_queues=False,
        broker_transport_options=_transport_options(settings),
        timezone="UTC",
        enable_utc=True,
    )
    if folder:
        app.conf.broker_transport = "workers.folder_transport:Transport"
    return app


def _queue(settings: Settings) -> Queue:
    """On RabbitMQ a quorum queue: written to a majority of its nodes before it is confirmed."""
    quorum = {"x-queue-type": "quorum"} if _scheme(settings) in ("amqp", "amqps") else None
    return Queue(QUEUE, routing_key=QUEUE, durable=True, queue_arguments=quorum)  # type: ignore[no-untyped-call]  # of kombu


def _scheme(settings: Settings) -> str:
    return settings.broker_url.partition(":")[0]


def _transport_options(settings: Settings) -> dict[str, Any]:
    scheme = _scheme(settings)
    if scheme in ("redis", "rediss"):
        return REDIS
    if scheme in ("amqp", "amqps"):
        return AMQP
    messages, control = settings.broker_folder / "messages", settings.broker_folder / "control"
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "store_processed": False,
        "polling_interval": POLL_S,
    }
