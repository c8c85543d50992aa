"""The one place that imports litellm: a single call, its bill, and its failures by our names."""

import asyncio
import importlib
import logging
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from core.money import Micros, to_micros
from llm.door import Reason, Tokens
from llm.settings import LanguageConfig, ModelConfig

# Roles and the like, beside the bytes of the two messages.
FRAME_TOKENS = 64
_BUSY = frozenset({429, 503, 529})
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a model said. `tokens` and `price` are None where the provider sent no usage."""

    text: str
    model: str
    tokens: Tokens | None
    price: Micros | None


class CallFailed(Exception):
    """A call without an answer. Holds no text of the provider: that may quote a key."""

    def __init__(
        self,
        reason: Reason,
        *,
        retryable: bool = False,
        charged: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.retryable = retryable
        self.charged = charged  # may have been: the provider had the request, we lack the bill
        self.retry_after_s = retry_after_s


class ChatClient(Protocol):
    async def warm_up(self) -> None:
        """Load what a call needs."""
        ...

    async def estimate(self, model: ModelConfig, prompt_bytes: int) -> Micros:
        """The most that a call can cost. Raises CallFailed where the price is not known."""
        ...

    async def complete(self, model: ModelConfig, *, system: str, user: str) -> Completion:
        """Takes as long as it takes: the caller sets the limit. Raises CallFailed."""
        ...


class LiteLLMClient:
    """litellm is imported by the first call, in a thread: it takes seconds (see `warm_up`)."""

    def __init__(self, config: LanguageConfig) -> None:
        self._config = config

    async def warm_up(self) -> None:
        """Import now, so that no request has to wait for it."""
        await _litellm()

    async def estimate(self, model: ModelConfig, prompt_bytes: int) -> Micros:
        tokens = Tokens(prompt=prompt_bytes + FRAME_TOKENS, completion=self._config.max_tokens)
        if model.prices is not None:
            return _configured(model.prices, tokens)
        try:
            usd = sum(
                (await _litellm()).cost_per_token(
                    model=model.name,
                    prompt_tokens=tokens.prompt,
                    completion_tokens=tokens.completion,
                )
            )
            return self._micros(usd)
        except Exception:  # litellm raises bare Exception here; any means that we know no price
            raise CallFailed("llm_price_unknown") from None

    async def complete(self, model: ModelConfig, *, system: str, user: str) -> Completion:
        litellm = await _litellm()
        try:
            # Not streamed: litellm 1.106.2 ends a stream that was cut off with "stop" like a
            # whole one, and then reports the model that was asked for, not the one that answered.
            response = await litellm.acompletion(**self._arguments(model, system=system, user=user))
        except Exception as error:  # litellm's tree is wide; whatever it is, the call failed
            raise _failure(error, litellm) from None
        return self._completion(litellm, model, response)

    def _arguments(self, model: ModelConfig, *, system: str, user: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": model.name,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ],
            # The same each time: litellm keeps one HTTP client, with its sockets, a timeout.
            "timeout": self._config.timeout_s,
            "max_tokens": self._config.max_tokens,
            "temperature": 0,
            "drop_params": True,  # some models take no temperature
            "num_retries": 0,
            "max_retries": 0,  # of the OpenAI SDK below
            "caching": False,
        }
        if self._config.json_mode:
            arguments["response_format"] = {"type": "json_object"}
        if model.api_base is not None:
            arguments["api_base"] = model.api_base
            # Without a key litellm would send the environment's OPENAI_API_KEY to this place.
            arguments["api_key"] = "none"
        if model.api_key is not None:
            arguments["api_key"] = model.api_key.get_secret_value()
        return arguments

    def _completion(self, litellm: Any, model: ModelConfig, response: Any) -> Completion:
        choices = getattr(response, "choices", None)
        tokens = _usage(response)
        text = getattr(getattr(choices[0], "message", None), "content", None) if choices else None
        answered_by = str(getattr(response, "model", None) or model.name)
        price = self._price(litellm, model, response, tokens) if tokens else None
        return Completion(
            text=text if isinstance(text, str) else "",
            model=answered_by,
            tokens=tokens,
            price=price,
        )

    def _price(
        self, litellm: Any, model: ModelConfig, response: Any, tokens: Tokens
    ) -> Micros | None:
        if model.prices is not None:
            return _configured(model.prices, tokens)
        try:
            return self._micros(
                litellm.completion_cost(completion_response=response, model=model.name)
            )
        except Exception:  # as in estimate; the caller then counts the estimate
            return None

    def _micros(self, usd: float) -> Micros:
        return to_micros(Decimal(str(usd)) * self._config.usd_rate)


def _configured(prices: tuple[Decimal, Decimal], tokens: Tokens) -> Micros:
    total = prices[0] * tokens.prompt + prices[1] * tokens.completion
    return to_micros(total / _MILLION)


def _usage(response: Any) -> Tokens | None:
    """litellm fills a missing usage with zeros; no call has none of both."""
    usage = getattr(response, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (n if isinstance(n, int) and n >= 0 else 0 for n in counts)
    return Tokens(prompt=prompt, completion=completion) if prompt or completion else None


async def _litellm() -> Any:
    return await asyncio.to_thread(_load)


def _load() -> Any:
    # Before the import, which else downloads a price list and reads a .env of the folder.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    litellm: Any = importlib.import_module("litellm")
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_hf_tokenizer_download = True
    # Its logs have quoted Authorization headers and prompts; what matters is in our own results.
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return litellm


def _failure(error: Exception, litellm: Any) -> CallFailed:
    """By status where a whole HTTP answer came, else by the cause: litellm calls both 500."""
    headers = getattr(error, "litellm_response_headers", None)
    status = getattr(error, "status_code", None)
    if headers is not None and isinstance(status, int):
        if status in _BUSY:
            return CallFailed("llm_busy", retryable=True, retry_after_s=_retry_after(headers))
        if status >= 500:
            return CallFailed("llm_failing", retryable=True)
        return CallFailed("llm_refused")
    causes = {type(cause).__name__ for cause in _chain(error)}
    if causes & {"ConnectError", "ConnectTimeout"}:
        return CallFailed("llm_unreachable", retryable=True)
    if isinstance(error, litellm.Timeout):
        return CallFailed("llm_late", charged=True)
    if "APIConnectionError" in causes:
        return CallFailed("llm_unreachable", retryable=True, charged=True)
    if isinstance(error, litellm.BadRequestError):  # before any request: an unknown provider
        return CallFailed("llm_refused")
    return CallFailed("llm_failing", charged=True)  # a body that is no completion


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return math.inf  # a date: rather the next model than a guess
    return max(seconds, 0.0) if not math.isnan(seconds) else math.inf
