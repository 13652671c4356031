"""How long the broker keeps what is over: what docs/privacy.md says of it."""

import pytest

from infra.migrations import topic_configs
from schemas.topics import TOPICS, Topic

DAY_MS = 86_400_000


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_what_is_over_goes_a_day_after_its_time_or_within_the_lag(topic: Topic) -> None:
    configs = topic_configs(topic, 3_600.0)
    if topic.compacted:
        assert configs["cleanup.policy"] == "compact"
        assert configs["max.compaction.lag.ms"] == configs["delete.retention.ms"] == "3600000"
    else:
        assert configs["cleanup.policy"] == "delete"
        kept_ms = -1 if topic.retention_days is None else topic.retention_days * DAY_MS
        assert configs["retention.ms"] == str(kept_ms)
        assert configs["segment.ms"] == str(DAY_MS)
