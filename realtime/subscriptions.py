"""SubscriptionIndex: which live streams receive which channel."""

from collections import Counter

from realtime.multimap import Many, add, discard
from realtime.stream import Stream


class SubscriptionIndex:
    """Live streams, grouped so that streams with the same shared channels receive the same chunk.

    A dict with None as values serves as an ordered set.
    """

    __slots__ = ("_subscriber_counts", "ahead_of_publisher", "by_shared_channels", "by_user_channel")

    def __init__(self) -> None:
        # By user channel, and by the tuple of shared channels.
        self.by_user_channel: dict[str, Stream | Many[Stream]] = {}
        self.by_shared_channels: dict[tuple[str, ...], tuple[tuple[str, ...], dict[Stream, None]]] = {}
        # Streams that read committed events from the log before those events were published here.
        self.ahead_of_publisher: set[Stream] = set()
        # The number of subscribers of each shared channel.
        self._subscriber_counts: Counter[str] = Counter()

    def has_subscribers(self, channel: str) -> bool:
        """Return whether any live stream receives the channel."""
        return channel in self._subscriber_counts or channel in self.by_user_channel

    def add(self, stream: Stream) -> None:
        """Add a stream, which receives live events from now on."""
        # All streams of a group share one tuple of channels.
        stream.shared, group = self.by_shared_channels.setdefault(stream.shared, (stream.shared, {}))
        group[stream] = None
        if stream.own_channel is not None:
            add(self.by_user_channel, stream.own_channel, stream)
        self._subscriber_counts.update(stream.shared)

    def remove(self, stream: Stream) -> None:
        """Remove a stream and undo everything that `add` did."""
        _, group = self.by_shared_channels[stream.shared]
        del group[stream]
        if not group:
            del self.by_shared_channels[stream.shared]
        if stream.own_channel is not None:
            discard(self.by_user_channel, stream.own_channel, stream)
        self.ahead_of_publisher.discard(stream)
        for channel in stream.shared:
            self._subscriber_counts[channel] -= 1
            if not self._subscriber_counts[channel]:
                del self._subscriber_counts[channel]
