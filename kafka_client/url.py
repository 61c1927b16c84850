"""The address of a Kafka cluster, and perhaps of a topic, as a URL."""

import re

_SHAPE = "kafka://HOST:PORT[,HOST:PORT…][/TOPIC]"
_SERVER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+):(\d{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def split_url(url: str) -> tuple[str, str | None]:
    """("HOST:PORT,…", topic or None) of a kafka:// URL; ValueError says what is wrong with it."""
    scheme, mark, rest = url.partition("://")
    if scheme != "kafka" or not mark:
        raise ValueError(f"{_shown(url)!r} is not a Kafka address: it should be {_SHAPE}")
    servers, _, topic = rest.partition("/")
    if "@" in servers:
        raise ValueError(
            "a Kafka address holds no user or password: give them as sasl_plain_username and "
            "sasl_plain_password"
        )
    for server in servers.split(","):
        _check_server(server, url)
    if topic and (not _TOPIC.fullmatch(topic) or topic in (".", "..")):
        raise ValueError(
            f"{topic!r} in {url!r} cannot be a topic: letters, digits, '.', '_' and '-', "
            "at most 249 of them"
        )
    return servers, topic or None


def _check_server(server: str, url: str) -> None:
    match = _SERVER.fullmatch(server)
    if not match or not 1 <= int(match[2]) <= 65535:
        raise ValueError(f"{server!r} in {url!r} is not HOST:PORT; it should be {_SHAPE}")


def _shown(url: str) -> str:
    """The URL without what stands before an @, which may be a password."""
    return re.sub(r"//[^/]*@", "//…@", url)
