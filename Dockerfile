# The image of a Beam worker that has phia: for --environment_type=DOCKER, or as a worker pool beside
# each task manager (EXTERNAL). Written from Beam's documentation; it is not built or run by the tests.
#
#   docker build -t REGISTRY/phia:0.1.0 .
#   phia run … --environment_type=DOCKER --environment_config=REGISTRY/phia:0.1.0
#
# Python and Beam must be the versions of the machine that submits: functions travel pickled.
FROM apache/beam_python3.11_sdk:2.77.0
COPY setup.py pyproject.toml README.md /phia/
COPY schemas /phia/schemas
COPY transforms /phia/transforms
COPY kafka_client /phia/kafka_client
COPY kernels /phia/kernels
COPY model /phia/model
COPY pipeline /phia/pipeline
RUN pip install --no-cache-dir '/phia[pipeline]'
# The entry point is Beam's: /opt/apache/beam/boot.
