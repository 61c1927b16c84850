"""Names of figures: `GROUP/NAME/LABEL=VALUE/…`, as in `ranking/ne/action=CLICK/over=window`.

One text serves everywhere: TensorBoard groups by what stands before the first slash, JSON has it as
a key, and Prometheus takes it apart into a name and labels.
"""

from urllib.parse import unquote

Labels = dict[str, str]


def figure(name: str, **labels: str | int) -> str:
    """The name of a figure with its labels, in the order given. In values / and % are escaped."""
    values = {label: str(value) for label, value in labels.items()}
    return "/".join([name, *(f"{label}={_escaped(value)}" for label, value in values.items())])


def parts(key: str) -> tuple[str, Labels]:
    """The name and the labels that `figure` made a key of."""
    pieces = key.split("/")
    labels = [piece.partition("=") for piece in pieces if "=" in piece]
    name = "/".join(piece for piece in pieces if "=" not in piece)
    return name, {label: unquote(value) for label, _, value in labels}


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("/", "%2F")
