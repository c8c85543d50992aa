"""Gets one usable reply out of a list of models, within the deadline and the budget.

Each call: reserve its upper estimate, ask, settle. Where the provider surely did no work the
reservation is released; where it may have charged us without a bill, the estimate counts.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Generic

from core.clock import Clock
from core.money import FREE, BudgetExceeded, BudgetLedger, Micros
from llm.breaker import CircuitBreaker
from llm.door import Attempt, LanguageResult, Reason, T, Tokens
from llm.litellm_client import CallFailed, ChatClient, Completion
from llm.settings import LanguageConfig, ModelConfig
from llm.task import Task, Turned

FIRST_WAIT_S = 0.25  # doubled each time
LONGEST_WAIT_S = 5.0  # a provider that asks for more is left to the next model
FAIR_TIME_S = 1.0  # a call that the deadline cuts sooner says nothing about the model's health
CLOSING_S = 1.0  # a ledger that is slower goes on in the background

log = logging.getLogger("rung.llm")


@dataclass(kw_only=True)
class _Run(Generic[T]):
    """One task on its way: what was tried, and what came of it."""

    task: Task[T]
    tenant_id: str
    decision: str
    ends_at: float  # time.monotonic()
    attempts: list[Attempt] = field(default_factory=list)
    value: T | None = None
    raw: str | None = None

    @property
    def left_s(self) -> float:
        return self.ends_at - time.monotonic()


@dataclass(kw_only=True)
class _Call:
    """One attempt in flight; `bill` is what closes its reservation, None to release it."""

    reservation: str
    estimate: Micros
    started: float
    bill: Micros | None = None
    completion: Completion | None = None


class Failover:
    def __init__(
        self,
        *,
        client: ChatClient,
        config: LanguageConfig,
        budget: BudgetLedger,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._config = config
        self._budget = budget
        self._models = [(model, CircuitBreaker(clock)) for model in config.models]
        self._sleep = sleep
        self._jitter = jitter
        self._closing: set[asyncio.Future[None]] = set()

    async def ask(
        self, task: Task[T], *, tenant_id: str, decision: str, deadline_s: float
    ) -> LanguageResult[T]:
        """Raises nothing but the caller's own cancellation."""
        started = time.monotonic()
        run = _Run(task=task, tenant_id=tenant_id, decision=decision, ends_at=started + deadline_s)
        reason: Reason | None = "llm_late"
        if deadline_s > 0:
            try:
                async with asyncio.timeout(deadline_s):
                    reason = await self._over_models(run)
            except TimeoutError:
                pass
        if reason is not None:
            log.info("%s abstains: %s after %d calls", task.prompt, reason, len(run.attempts))
        return LanguageResult(
            value=run.value if reason is None else None,
            reason=reason,
            prompt=task.prompt,
            model=run.attempts[-1].answered_by if run.attempts else None,
            attempts=tuple(run.attempts),
            raw=run.raw,
            milliseconds=(time.monotonic() - started) * 1000,
        )

    async def warm_up(self) -> None:
        await self._client.warm_up()

    async def aclose(self) -> None:
        """Waits for the ledger's last entries. Connections are litellm's and shared by all doors of
        the process: closing them would end the calls of others."""
        loop = asyncio.get_running_loop()
        if here := {future for future in self._closing if future.get_loop() is loop}:
            await asyncio.wait(here, timeout=CLOSING_S)

    async def _over_models(self, run: _Run[T]) -> Reason | None:
        reason: Reason | None = "llm_not_configured"
        for model, breaker in self._models:
            reason = await self._over_retries(run, model, breaker)
            if reason is None or reason == "llm_declined":  # a valid reply: no other is asked
                break
        return reason

    async def _over_retries(
        self, run: _Run[T], model: ModelConfig, breaker: CircuitBreaker
    ) -> Reason | None:
        wait_s = FIRST_WAIT_S
        for again in range(self._config.retries + 1):
            if not breaker.admits():
                run.attempts.append(Attempt(model=model.name, reason="llm_paused"))
                return "llm_paused"
            failed = await self._attempt(run, model, breaker)
            if failed is None:
                return run.attempts[-1].reason
            pause_s = failed.retry_after_s
            if pause_s is None:
                pause_s = wait_s * (0.5 + self._jitter() / 2)
            hopeless = pause_s > LONGEST_WAIT_S or pause_s >= run.left_s
            if not failed.retryable or hopeless or again == self._config.retries:
                return failed.reason
            await self._sleep(pause_s)
            wait_s *= 2
        raise AssertionError("range() above is never empty")

    async def _attempt(
        self, run: _Run[T], model: ModelConfig, breaker: CircuitBreaker
    ) -> CallFailed | None:
        """None where the model replied, be the reply usable or not."""
        started = time.monotonic()
        try:
            await self._client.warm_up()  # before the reservation: nothing is sent meanwhile
            estimate = await self._client.estimate(model, run.task.size)
            reservation = await self._reserve(run, estimate)
        except CallFailed as failed:
            run.attempts.append(Attempt(model=model.name, reason=failed.reason))
            return failed
        call = _Call(reservation=reservation, estimate=estimate, started=started, bill=estimate)
        reason: Reason | None = "llm_late"  # what a cancellation leaves behind
        failure: CallFailed | None = None
        try:
            reason = await self._reply(run, model, call)
        except CallFailed as failed:
            reason, failure = failed.reason, failed
            call.bill = estimate if failed.charged else None
        except asyncio.CancelledError:
            if run.left_s <= 0 and time.monotonic() - started >= FAIR_TIME_S:
                breaker.failed()
            raise
        else:
            breaker.succeeded()
        finally:
            run.attempts.append(_attempt(model, reason, call))
            await self._close(call)
        if failure is not None:
            breaker.failed()
        return failure

    async def _reply(self, run: _Run[T], model: ModelConfig, call: _Call) -> Reason | None:
        limit_s = max(min(self._config.timeout_s, run.left_s), 0.001)
        try:
            # A limit of our own: HTTP clients start theirs again with every byte that drips in.
            async with asyncio.timeout(limit_s):
                completion = await self._client.complete(
                    model, system=run.task.system, user=run.task.user
                )
        except TimeoutError:
            raise CallFailed("llm_late", charged=True) from None
        call.completion = completion
        call.bill = call.estimate if completion.price is None else completion.price
        run.raw = completion.text
        try:
            run.value = run.task.read(completion.text)
        except Turned as turned:
            return turned.reason
        return None

    async def _reserve(self, run: _Run[T], amount: Micros) -> str:
        """In a thread, as the ledger blocks. Raises CallFailed: closed for money."""
        made = asyncio.ensure_future(
            asyncio.to_thread(
                self._budget.reserve,
                tenant_id=run.tenant_id,
                decision=run.decision,
                amount=amount,
            )
        )
        try:
            return await asyncio.shield(made)
        except asyncio.CancelledError:
            made.add_done_callback(self._release_late)
            raise
        except BudgetExceeded:
            raise CallFailed("llm_over_budget") from None
        except Exception as error:  # whatever broke, what may be spent is not known
            log.error("the budget ledger failed to reserve: %s", type(error).__name__)
            raise CallFailed("llm_budget_unknown") from None

    def _release_late(self, made: "asyncio.Future[str]") -> None:
        if not made.cancelled() and made.exception() is None:
            self._in_background(self._budget.release, made.result())

    async def _close(self, call: _Call) -> None:
        """Goes on to its end even where the request is cancelled or cannot wait for it."""
        if call.bill is None:
            done = self._in_background(self._budget.release, call.reservation)
        else:
            done = self._in_background(self._budget.settle, call.reservation, call.bill)
        await asyncio.wait({done}, timeout=CLOSING_S)

    def _in_background(
        self, method: Callable[..., None], *arguments: object
    ) -> "asyncio.Future[None]":
        async def close() -> None:
            try:
                await asyncio.to_thread(method, *arguments)
            except Exception as error:  # it stays counted as reserved: closed for money
                log.error("the budget ledger failed to close: %s", type(error).__name__)

        done = asyncio.ensure_future(close())
        self._closing.add(done)  # the loop itself keeps only weak references
        done.add_done_callback(self._closing.discard)
        return done


def _attempt(model: ModelConfig, reason: Reason | None, call: _Call) -> Attempt:
    attempt = Attempt(
        model=model.name,
        reason=reason,
        price=call.bill if call.bill is not None else FREE,
        milliseconds=(time.monotonic() - call.started) * 1000,
    )
    if call.completion is None:
        return attempt
    return replace(
        attempt,
        answered_by=call.completion.model,
        tokens=call.completion.tokens or Tokens(),
    )
