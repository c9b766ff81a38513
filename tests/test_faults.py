"""The list of deliberate faults of tests/faults/ fits the code; `make faults` applies them."""

import re

import pytest
from faults import run

FAULTS = run.read()


def test_there_are_enough():
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_fits_the_code_and_its_tests_are_there(fault):
    before = (run.ROOT / fault.file).read_text()
    after = fault.applied(before)
    assert after != before
    if fault.file.endswith(".py"):
        compile(after, fault.file, "exec")

    assert fault.tests
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name or 'test_'}", (run.ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("text", ["", "a = 1; a = 1"])
def test_a_fault_that_does_not_fit_is_out_of_date(text):
    fault = run.Fault("name", "harm", "file.py", old="a = 1", new="a = 2", tests=["tests/test.py"])
    with pytest.raises(ValueError, match=r"out of date, as file.py has its text \d times"):
        fault.applied(text)
