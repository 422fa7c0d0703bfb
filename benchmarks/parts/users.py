"""Users of dashboards, many at once: each has a connection of its own and reads what the page reads.

Plain sockets with a parser of just what is needed: a client library would take more of the machine than the server.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.parts.report import quantile

MOST_WAIT_S = 60.0
MIX = (
    (0.22, "/overview"), (0.14, "/system"), (0.12, "/incidents?limit=8&statuses=open"),
    (0.12, "/patterns?confidence_threshold=0&limit=8&origin=live"), (0.08, "/patterns?limit=50&severities={severity}"),
    (0.06, "/patterns?confidence_threshold=0&limit=50&order={order}"), (0.08, "/patterns/{pattern}"),
    (0.10, "/series/{series}/points?width={width}"), (0.03, "/series?limit=200"), (0.02, "/work"), (0.02, "/kpis"),
    (0.01, "/findings?limit=30"),
)  # fmt: skip
"""Share and address of what is asked, as the page's views ask it: the overview again and again, the rest by clicks."""
ORDERS = ("detected_at", "confidence_score", "significance_score")
SEVERITIES = ("critical", "high", "medium", "low")
WIDTHS = (200, 400, 600)


@dataclass
class Outcome:
    """What users met: seconds by kind of question, answers by status, errors by kind."""

    seconds: float = 0.0
    took: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def all(self) -> list[float]:
        """All times, sorted."""
        return sorted(time for times in self.took.values() for time in times)

    def failed(self) -> int:
        """Questions without a good answer."""
        bad = sum(count for status, count in self.statuses.items() if status not in (200, 304))
        return bad + sum(self.errors.values())

    def figures(self) -> dict[str, object]:
        """Figures for the last line."""
        times = self.all
        return {
            "requests": len(times),
            "per_second": round(len(times) / self.seconds, 1) if self.seconds else 0.0,
            "errors": self.failed(),
            "p50": round(quantile(times, 0.5), 4) if times else None,
            "p95": round(quantile(times, 0.95), 4) if times else None,
            "p99": round(quantile(times, 0.99), 4) if times else None,
            "greatest": round(times[-1], 4) if times else None,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "error_kinds": dict(self.errors),
        }


@dataclass(frozen=True)
class Asked:
    """Whom to ask, and of what."""

    host: str
    port: int
    patterns: Sequence[str]
    series: Sequence[str]


def recent(of: Sequence[str], dice: random.Random) -> str:
    """One of them, the first ones by far more often: half of what people open is among the first eighth."""
    return of[int(len(of) * dice.random() ** 3)]


def question(asked: Asked, dice: random.Random) -> tuple[str, str]:
    """A kind of question and its address."""
    kind = dice.choices([address for _, address in MIX], [share for share, _ in MIX])[0]
    address = kind.format(
        severity=dice.choice(SEVERITIES),
        order=dice.choice(ORDERS),
        pattern=recent(asked.patterns, dice),
        series=recent(asked.series, dice),
        width=dice.choice(WIDTHS),
    )
    return kind, address


async def user(asked: Asked, number: int, think_s: float, start: float, until: float, outcome: Outcome) -> None:
    """One user until a moment of the loop's clock: asks, reads, thinks (`think_s` on average; 0 = asks at once)."""
    dice = random.Random(number)
    loop = asyncio.get_running_loop()
    etags: dict[str, bytes] = {}
    await asyncio.sleep(max(0.0, start - loop.time()) + dice.random() * max(think_s, 1.0))
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while loop.time() < until:
        kind, address = question(asked, dice)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(MOST_WAIT_S):
                if reader is None or writer is None or reader.at_eof():  # as browsers do where it was idle for long
                    reader, writer = await asyncio.open_connection(asked.host, asked.port)
                status, etag, stays = await _ask(reader, writer, asked.host, address, etags.get(address))
        except (OSError, EOFError, TimeoutError, ValueError) as problem:
            outcome.errors[type(problem).__name__] += 1
            if writer is not None:
                writer.close()
            reader = writer = None
            await asyncio.sleep(0.1)
            continue
        outcome.took.setdefault(kind, []).append(time.perf_counter() - began)
        outcome.statuses[status] += 1
        if etag is not None and len(etags) < 50:
            etags[address] = etag
        if not stays:
            writer.close()
            reader = writer = None
        if think_s:
            await asyncio.sleep(min(dice.expovariate(1 / think_s), max(0.0, until - loop.time())))
    if writer is not None:
        writer.close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, address: str, etag: bytes | None
) -> tuple[int, bytes | None, bool]:
    lines = [f"GET {address} HTTP/1.1".encode(), f"Host: {host}".encode(), b"Accept: application/json"]
    if etag is not None:
        lines.append(b"If-None-Match: " + etag)
    writer.write(b"\r\n".join([*lines, b"", b""]))
    head = await reader.readuntil(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in rest)}
    status = int(first.split(b" ", 2)[1])
    if length := int(headers.get(b"content-length", b"0")):
        await reader.readexactly(length)
    elif headers.get(b"transfer-encoding"):
        raise ValueError("a chunked answer")
    return status, headers.get(b"etag"), headers.get(b"connection", b"").lower() != b"close"


async def crowd(asked: Asked, users: int, think_s: float, seconds: float) -> Outcome:
    """So many users for so long; they come within the first second, or the time that they think."""
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    start = loop.time()
    until = start + seconds + max(think_s, 1.0)
    began = time.perf_counter()
    await asyncio.gather(*(user(asked, number, think_s, start, until, outcome) for number in range(users)))
    outcome.seconds = time.perf_counter() - began
    return outcome


def run(asked: Asked, users: int, think_s: float, seconds: float) -> Outcome:
    """The same, with the fastest loop there is."""
    if sys.platform != "win32":
        import uvloop

        return uvloop.run(crowd(asked, users, think_s, seconds))
    return asyncio.run(crowd(asked, users, think_s, seconds))
