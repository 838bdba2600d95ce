"""tests/faults.py, which `make faults` puts in: each fault is still one that can be put in."""

import pytest

from tests.faults import FAULTS, ROOT


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_the_line_of_a_fault_stands_in_its_file(fault):
    source = (ROOT / "engine" / fault.file).read_text(encoding="utf-8")
    assert fault.line in source
    assert fault.fault != fault.line
