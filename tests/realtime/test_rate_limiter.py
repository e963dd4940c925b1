"""The rate limiter: agreement with a leaky bucket, bounded memory, parsing of limits."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.rate_limiter import RateLimit, RateLimiter


class LeakyBucket:
    """The reference model: a bucket that leaks `count` per window, in exact fractions."""

    def __init__(self, count: int, seconds: int) -> None:
        self.count, self.rate = count, Fraction(count, seconds)
        self.level, self.updated_at = Fraction(0), Fraction(0)

    def level_at(self, now: Fraction) -> Fraction:
        return max(Fraction(0), self.level - (now - self.updated_at) * self.rate)

    def hit(self, now: Fraction) -> bool:
        level = self.level_at(now)
        if level + 1 > self.count:
            return False
        self.level, self.updated_at = level + 1, now
        return True


@settings(deadline=None)
@given(
    count=st.integers(1, 20),
    seconds=st.integers(1, 90),
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 8_000)), max_size=120),
)
def test_rate_limiter_agrees_with_a_leaky_bucket(count: int, seconds: int, steps: list[tuple[str, int]]) -> None:
    limiter = RateLimiter(RateLimit(count, seconds), max_keys=10)
    buckets = {"a": LeakyBucket(count, seconds), "b": LeakyBucket(count, seconds)}
    milliseconds = 0
    for key, pause in steps:
        milliseconds += pause
        now, exact = milliseconds / 1_000, Fraction(milliseconds, 1_000)
        result = limiter.hit(key, now)
        bucket = buckets[key]
        assert result.allowed == bucket.hit(exact)
        level = bucket.level_at(exact)
        assert result.remaining == int(bucket.count - level)
        assert result.reset_after == pytest.approx(float(level / bucket.rate))
        wait = max(Fraction(0), (level + 1 - bucket.count) / bucket.rate)
        assert result.retry_after == pytest.approx(0.0 if result.allowed else float(wait))


def test_rate_limiter_allows_a_burst_of_the_whole_count() -> None:
    limiter = RateLimiter(RateLimit(100, 60.0), max_keys=10)
    assert [limiter.hit("u", 0.0).remaining for _ in range(100)] == list(range(99, -1, -1))
    rejected = limiter.hit("u", 0.0)
    assert not rejected.allowed
    assert rejected.retry_after == pytest.approx(0.6)
    assert not limiter.hit("u", 0.599).allowed
    assert limiter.hit("u", 0.6).allowed


def test_rate_limiter_peek_counts_nothing() -> None:
    limiter = RateLimiter(RateLimit(2, 60.0), max_keys=10)
    assert [limiter.peek("u", 0.0).remaining for _ in range(3)] == [2, 2, 2]
    assert len(limiter) == 0


def test_rate_limiter_without_limit_allows_all_and_stores_nothing() -> None:
    limiter = RateLimiter(None, max_keys=1)
    assert all(limiter.hit(str(n), 0.0).allowed for n in range(1_000))
    limiter.sweep(1.0)
    assert limiter.peek("u", 0.0).allowed
    assert len(limiter) == 0


def test_rate_limiter_sweep_removes_only_full_buckets() -> None:
    limiter = RateLimiter(RateLimit(10, 10.0), max_keys=10)
    limiter.hit("light", 0.0)
    for _ in range(10):
        limiter.hit("heavy", 0.0)
    limiter.sweep(2.0)
    assert len(limiter) == 1
    assert not limiter.hit("heavy", 0.5).allowed
    limiter.sweep(10.0)
    assert len(limiter) == 0


def test_rate_limiter_removes_unused_keys_without_a_sweep() -> None:
    limiter = RateLimiter(RateLimit(2, 3.0), max_keys=10_000)
    for n in range(1_000):
        limiter.hit(f"single {n}", 0.0)
    for n in range(500):
        limiter.hit("frequent", 10.0 + n)
    assert len(limiter) == 1
    for n in range(1_000):
        limiter.hit(f"new {n}", 1_000.0 + n)
        assert len(limiter) <= 4


def test_rate_limiter_keeps_a_used_bucket_when_keys_are_invented() -> None:
    limiter = RateLimiter(RateLimit(10, 60.0), max_keys=50)
    for _ in range(10):
        limiter.hit("spent", 0.0)
    for n in range(5_000):
        limiter.hit(f"invented {n}", 0.001)
    assert len(limiter) == 50
    assert not limiter.hit("spent", 0.002).allowed


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3_000), st.booleans()), max_size=200))
def test_rate_limiter_memory_is_bounded(steps: list[tuple[int, int, bool]]) -> None:
    limiter = RateLimiter(RateLimit(3, 5.0), max_keys=4)
    now = 0
    for key, pause, sweep in steps:
        now += pause
        limiter.hit(str(key), now / 1_000)
        if sweep:
            limiter.sweep(now / 1_000)
        assert len(limiter) <= 4


def test_rate_limit_parses_each_unit_and_zero() -> None:
    assert RateLimit.parse("100/minute") == RateLimit(100, 60.0)
    assert RateLimit.parse("5/second") == RateLimit(5, 1.0)
    assert RateLimit.parse("2/hour") == RateLimit(2, 3_600.0)
    assert RateLimit.parse("1/day") == RateLimit(1, 86_400.0)
    assert RateLimit.parse("0") is None


@pytest.mark.parametrize("text", ["", "100", "-1/minute", "1/fortnight", "1.5/second", "1/minute ", "٣/minute", "/day"])
def test_rate_limit_rejects_malformed_text(text: str) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        RateLimit.parse(text)


def test_rate_limit_requires_positive_numbers() -> None:
    with pytest.raises(ValueError, match="positive"):
        RateLimit(0, 60.0)
    with pytest.raises(ValueError, match="positive"):
        RateLimit(1, 0.0)
    with pytest.raises(ValueError, match="max_keys"):
        RateLimiter(None, max_keys=0)
