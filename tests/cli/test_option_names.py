"""engine/cli/table_options.py: errors of commands name options, not parameters of Python."""

import re

import pytest
from typer.main import get_command

from engine.cli import main, table_options
from engine.tables.conversion import convert_table

TABLE = "x,y\n" + "".join(f"{i % 9},{2 * (i % 9) + 0.5}\n" for i in range(100))
TRAIN = ("train", "t.csv", "--target", "y", "--max-iter", "2", "--hidden", "2", "--force")


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """What a command says on standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)

    def of(*arguments):
        with pytest.raises(SystemExit) as end:
            main.main([str(one) for one in arguments])
        assert end.value.code in (0, main.WRONG_USE)
        return capsys.readouterr().err

    return of


def test_every_option_that_is_named_is_one_of_train_or_convert():
    commands = vars(get_command(main.app))["commands"]
    parameters = [*commands["train"].params, *commands["convert"].params]
    known = {option for parameter in parameters for option in parameter.opts}
    assert {
        *re.findall("--[a-z-]+", " ".join((table_options.OPTIONS | table_options.PARTS).values()))
    } <= known


OF_FILES = {
    "a word among numbers": (
        "x,y\n" + "".join(f"{i}.5,{2 * i}\n" for i in range(99)) + "unknown,5\n",
        ("--target", "y"),
        "the table has no column to learn from: 'x' holds numbers, but also 'unknown': mend that, "
        "or, if it stands for a missing value, add --missing 'unknown' (--column 'x=category' ",
    ),
    "a word that counts as missing": (
        "x,y\n" + "".join(f"{i},{'NA' if i % 2 else 'EU'}\n" for i in range(99)),
        ("--target", "y"),
        "'NA' counts as missing in 49 rows (--not-missing 'NA' makes it a value)",
    ),
    "a decimal": (
        "x;y\n" + "".join(f"{i},125;{2 * i}\n" for i in range(1, 99)),
        ("--target", "y"),
        "Say which: --decimal comma or --decimal point.",
    ),
    "an order": (
        "x,y\n" + "".join(f"{i % 9 + 1}/1/2024,{2 * i}\n" for i in range(99)),
        ("--target", "y"),
        "Say which: --dates day-first or --dates month-first.",
    ),
    "an encoding": (
        "x,y\n\xe4,1\n" * 9,
        ("--target", "y"),
        "Say which encoding it has, such as --encoding latin-1 or utf-16, or save it as UTF-8",
    ),
    "texts for a regression": (
        "x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(99)),
        ("--target", "y", "--task", "regression"),
        "regression needs numbers. Leave --task out, or name another column.",
    ),
    "numbers for classes": (
        "x,y\n" + "".join(f"{i % 9},{i}.5\n" for i in range(99)),
        ("--target", "y", "--task", "classification"),
        "Use --task regression.",
    ),
    "units in the target": (
        "x,y\n" + "".join(f"{i % 9},{i} kg\n" for i in range(99)),
        ("--target", "y"),
        "or say --task classification to have them as classes.",
    ),
}


@pytest.mark.parametrize("case", OF_FILES)
def test_what_to_do_about_a_file_is_said_with_options(said, tmp_path, case):
    text, options, message = OF_FILES[case]
    (tmp_path / "f.csv").write_bytes(text.encode("latin-1"))
    for command in (("train",), ("convert", "--to", "f")):
        error = said(command[0], "f.csv", *command[1:], *options)
        assert message.lower() in error.lower()
        assert not re.search(r"columns=|polars|\bdecimal=|\bdates=|Table(Class|Reg)", error)


@pytest.mark.compiled
def test_a_checkpoint_of_another_run_is_refused_with_the_names_of_options(said):
    kept = ("--checkpoint", "run.ckpt", "--early-stopping", "yes")
    said(*TRAIN, *kept)
    error = said(*TRAIN, *kept, "--learning-rate", "0.01", "--weight-decay", "0.5")
    for part in (
        "run.ckpt belongs to another run: ",
        "--learning-rate is 0.01 and was 0.",
        "--weight-decay is 0.5 and was ",
        "Give the options that it was made with, name another file with --checkpoint, or delete it",
    ):
        assert part in error
    assert not re.search("learning_rate|random_state|X_val|checkpoint=|Checkpoint", error)


def test_a_folder_that_was_converted_otherwise_is_refused_with_the_names_of_options(said):
    said("convert", "t.csv", "--target", "y", "--to", "f")
    error = said("train", "t.csv", "--target", "y", "--on-disk", "f", "--test-fraction", "0.3")
    assert "f exists already, and was converted otherwise: " in error
    assert "--test-fraction is 0.3 and was 0.2" in error


REFUSED = {
    "a target that is not there": (
        ("--target", "z"),
        {"target": "z"},
        "target: the table has no column 'z'.",
    ),
    "a column that is not there": (
        ("--target", "y", "--column", "z=number"),
        {"target": "y", "columns": {"z": "number"}},
        "columns: the table has no column 'z'.",
    ),
    "the target as a column": (
        ("--target", "y", "--column", "y=number"),
        {"target": "y", "columns": {"y": "number"}},
        "columns: 'y' is the target; its kind goes by the task.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_convert_refuses_is_named_as_it_was_given(said, tmp_path, case):
    options, given, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        convert_table(tmp_path / "t.csv", tmp_path / "f", **given)
    in_options = message.replace("target:", "--target:").replace("columns:", "--column:")
    assert in_options in said("convert", "t.csv", "--to", "f", *options)


def test_python_s_convert_names_the_kinds_that_a_column_may_have(said, tmp_path):
    message = "columns: the kind of 'x' must be 'number', 'category', 'boolean', 'date' or 'out'"
    with pytest.raises(ValueError, match=re.escape(message)):
        convert_table(tmp_path / "t.csv", tmp_path / "f", "y", columns={"x": "text"})


def test_an_infinite_penalty_is_refused_by_its_option(said):
    assert "--weight-decay must be finite." in said(*TRAIN, "--weight-decay", "inf")
