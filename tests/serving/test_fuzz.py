"""Requests that are made of the schema by a machine, which should find nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tts.serving.http import make_app
from tts.serving.service import Service
from tts.serving.settings import ServerSettings

CHECKS = {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "429"]}}
"""A request that fits the schema may still hold a text that the voice cannot say, or no recording: 400."""
OPERATIONS = 8


@pytest.fixture(scope="module")
def operations(voice, recognizer):
    service = Service(ServerSettings(max_audio_seconds=1, max_upload_bytes=100_000), voice, recognizer)
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(service), config=config)
    yield [result.ok() for result in schema.get_all_operations()]
    service.pool.close()


@pytest.mark.parametrize("number", range(OPERATIONS))
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_requests_made_of_the_schema(operations, number, mode):
    assert len(operations) == OPERATIONS
    operation = operations[number]
    if mode.is_negative and not operation.body:
        pytest.skip("a request without a body or parameters has no wrong form to generate")

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def requests(case):
        case.call_and_validate()

    requests()


@pytest.mark.slow
def test_the_command_of_schemathesis_finds_nothing(start, tmp_path):
    served = start(max_audio_seconds=1)
    (tmp_path / "schemathesis.toml").write_text(
        '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", "400", "429"]\n'
    )
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "run", f"{served.url}/openapi.json", "--no-color", "--max-examples", "50"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
