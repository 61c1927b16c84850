"""Consumer groups, of which phia wants only that it may commit offsets for them."""

import time
from contextlib import closing

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import GroupAuthorizationFailedError, RetriableError

from kafka_client.clients import REQUEST_MS, Connection, admin, explained

_AGAIN_S = 0.2
_NOBODY = "phia-asks-for-its-rights"


def check_may_commit(connection: Connection, group: str) -> None:
    """Raises KafkaUnavailable, with one line, where offsets cannot be committed for a group.

    The broker is asked to let a member go that the group has not, or there is no group yet: that
    takes the same ACL, Read on the group, and changes nothing. To read a group's offsets takes
    less, and its description tells rights only of a group that is there.
    """
    with (
        closing(admin(connection)) as client,
        explained(connection, f"cannot commit for group {group!r}"),
    ):
        ends = time.monotonic() + REQUEST_MS / 1000
        while not _asked(client, group, time.monotonic() > ends):
            time.sleep(_AGAIN_S)


def _asked(client: KafkaAdminClient, group: str, last: bool) -> bool:
    """False where there is no coordinator now: a cluster makes the topic of offsets when the first
    group is named."""
    try:
        client.remove_group_members(group, [MemberToRemove(member_id=_NOBODY)])
    except GroupAuthorizationFailedError:
        # kafka-python quotes the response, which does not name the group.
        raise GroupAuthorizationFailedError(group) from None
    except RetriableError:
        if last:
            raise
        return False
    return True
