"""Prints the events of a stream, received with launchdarkly-eventsource, which reconnects by itself."""

import json
import sys

from ld_eventsource import SSEClient  # type: ignore[import-untyped]  # the package has no types
from ld_eventsource.config import (  # type: ignore[import-untyped]
    ConnectStrategy,
    ErrorStrategy,
    RetryDelayStrategy,
)

url, token = sys.argv[1:]
client = SSEClient(
    ConnectStrategy.http(url, headers={"authorization": f"Bearer {token}"}),
    error_strategy=ErrorStrategy.always_continue(),
    retry_delay_strategy=RetryDelayStrategy.default(max_delay=2),
)
for event in client.events:
    print(json.dumps({"type": event.event, "id": event.last_event_id, "data": event.data}), flush=True)
