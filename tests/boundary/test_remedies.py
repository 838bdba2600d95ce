"""engine/boundary/remedies.py: what to do about a table, in Python and at the command line."""

import re
import shlex

import pytest
from typer.main import get_command

from engine.boundary.remedies import OVERRULE, REMEDIES, at_command_line
from engine.cli import main


@pytest.mark.parametrize(
    "name", ["id", "it's", 'a "b"', "a'b\"c", "back\\slash", "{}", "ä\n=", "1='2'", "cost $x `y`"]
)
def test_a_name_of_any_letters_comes_through_to_a_shell(name):
    said = at_command_line(f"'x' numbers the rows ({OVERRULE(name, 'number')}): so.")
    before, option, after = said.partition("--column ")
    quoted, _, end = after.rpartition(" overrules): so.")
    assert (before, option, end) == ("'x' numbers the rows (", "--column ", "")
    assert quoted.startswith("'")
    assert shlex.split(quoted) == [f"{name}=number"]


def test_all_of_several_remedies_in_a_message_are_those_of_the_command():
    message = "; ".join(remedy("a", "b") for remedy in REMEDIES)
    commands = [one.command.format(repr("a=b" if one is OVERRULE else "a")) for one in REMEDIES]
    assert at_command_line(message) == "; ".join(commands)


def test_each_option_is_one_of_train():
    known = {
        name for one in vars(get_command(main.app))["commands"]["train"].params for name in one.opts
    }
    assert {*re.findall("--[a-z-]+", " ".join(one.command for one in REMEDIES))} <= known
