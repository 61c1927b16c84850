"""Starts a Python worker of Beam in a process of its own: `--environment_type=PROCESS`.

Beam's containers have a program for this. Here, as there, the runner names its services, and the
worker is told of them by its environment.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

_ASK_S = 60
_ENDPOINTS = ("logging", "artifact", "provision", "control")


def main(given: Sequence[str] | None = None) -> None:
    """Becomes a worker, as what the runner says on the command line and at its endpoint."""
    asked = _arguments(given)
    info = _provision(asked.provision_endpoint, asked.id)
    os.environ.update(_environment(asked, info))
    worker = "apache_beam.runners.worker.sdk_worker_main"
    os.execv(sys.executable, [sys.executable, "-m", worker])  # noqa: S606 - becomes the worker


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    for name in _ENDPOINTS:
        parser.add_argument(f"--{name}_endpoint", default="")
    return parser.parse_known_args(given)[0]


def _provision(endpoint: str, worker: str) -> beam_provision_api_pb2.ProvisionInfo:
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        asked = beam_provision_api_pb2.GetProvisionInfoRequest()
        answer = service.GetProvisionInfo(
            asked, metadata=[("worker_id", worker)], timeout=_ASK_S, wait_for_ready=True
        )
    return answer.info


def _environment(
    asked: argparse.Namespace, info: beam_provision_api_pb2.ProvisionInfo
) -> dict[str, str]:
    said = {
        "WORKER_ID": asked.id,
        "LOGGING_API_SERVICE_DESCRIPTOR": _at(asked.logging_endpoint or info.logging_endpoint.url),
        "CONTROL_API_SERVICE_DESCRIPTOR": _at(asked.control_endpoint or info.control_endpoint.url),
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "SEMI_PERSISTENT_DIRECTORY": os.path.join(tempfile.gettempdir(), f"beam-{os.getuid()}"),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.status_endpoint.url:
        said["STATUS_API_SERVICE_DESCRIPTOR"] = _at(info.status_endpoint.url)
    return said


def _at(url: str) -> str:
    return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))


if __name__ == "__main__":
    main()
