"""Numbers in the spellings that people use: 1.234,50 or 1,234.50 or 1'234, with %, a currency, (5).

A number has a decimal comma or a decimal point. 1,234 fits both readings, and means 1.234 or 1234:
all values of a column decide, and if they fit both readings, the user has to.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, cast

import numpy as np
import polars as pl

from engine.tables import column_kinds

COMMA, POINT, EITHER = "comma", "point", ""
DECIMALS = (COMMA, POINT)
PERCENT = ("%", "‰")
SAMPLE = 1000  # values that are tried before all are
LEAST_LIKELY = 0.5  # share of the sample that must look like numbers
MOST_KEPT = 21  # distinct values that are kept of each sort
LONGEST_MARK = 8  # letters
MOST_UNITS = 3

_SPACE = "[ \u00a0\u202f\u2009\u2007]"
_CODES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KRW|"
    "MXN|MYR|NOK|NZD|PHP|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
_CURRENCY = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|{_CODES}|[Kk]r\.?|S?Fr\.|Rs\.?|zł|Kč|Ft|lei|Euro?s?)"
_NUMBER = r"(?P<body>[.,]?\d(?:[\d.,'\u2019 \u00a0\u202f\u2009\u2007]*\d)?[.,]?(?:[eE][-+]?\d+)?)"
WRITTEN = (
    rf"^(?P<open>\()?\s*(?P<sign>[-+])?\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-+])?\s*{_NUMBER}"
    rf"\s*(?P<after>%|‰|{_CURRENCY})?(?P<last>-)?\s*(?P<close>\))?$"
)
DASHES = "[\u2212\u2012\u2013\ufe63\uff0d]"
NO_CENTS = r"(\d)[.,][-\u2014]+([^-\d]|$)"  # 12,- and 12.--
_END = r"\d*)(?:{decimal}\d*)?(?:[eE][-+]?\d+)?$"
_GROUPED = (
    rf"^(?:[1-9]\d{{0,2}}(?:{{group}})+|[1-9]\d{{0,2}}(?:{_SPACE}\d{{3}})+|"
    rf"[1-9]\d{{0,2}}(?:['\u2019]\d{{3}})+|{_END}"
)
# 12,34,567 is how thousands are set apart in India.
BODY = {
    POINT: _GROUPED.replace("(?:{group})+", r"(?:,\d{2,3})*,\d{3}").replace("{decimal}", r"\."),
    COMMA: _GROUPED.replace("{group}", r"\.\d{3}").replace("{decimal}", ","),
}
# What is left out of the digits.
APART = {
    POINT: "'\u2019 \u00a0\u202f\u2009\u2007,",
    COMMA: "'\u2019 \u00a0\u202f\u2009\u2007.",
}
_PLAIN_GROUPS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+$"
_UNIT = rf"^[-+]?\d[\d.,]*{_SPACE}?(?P<unit>[^\d\s.,:;/+-][^\d\s]{{0,9}})$"


class NumberReading(NamedTuple):
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : "comma", "point" or ""
        Empty if no number of the training table decided it; then 1,234 is not read.
    mark : str
        The currency, % or ‰ beside them; empty for none.
    """

    decimal: str
    mark: str = ""

    @property
    def in_words(self) -> str:
        """What the column holds, for messages."""
        said = "numbers with a decimal comma" if self.decimal == COMMA else "numbers"
        if self.mark in PERCENT:
            return f"{said} in {self.mark}"
        return f"{said} in {self.mark}" if self.mark else said


def numbers(texts: pl.Series, reading: NumberReading) -> pl.Series:
    """The numbers, float64, and null for what is none in this notation.

    Examples
    --------
    >>> texts = pl.Series(["1.234,5", "-3", "(2,5)", "\u22127", None, "1.5", "12 kg"])
    >>> numbers(texts, NumberReading("comma")).to_list()
    [1234.5, -3.0, -2.5, -7.0, None, None, None]
    >>> numbers(pl.Series(["12 %", "0", "3"]), NumberReading("point", "%")).to_list()
    [12.0, 0.0, None]
    """
    value = pl.col(reading.decimal)
    if reading.decimal == EITHER:
        certain = (pl.col(POINT) == pl.col(COMMA)).fill_null(value=True)
        value = pl.when(certain).then(pl.coalesce(POINT, COMMA))
    mark = pl.col("mark").fill_null("")
    alone = (mark == "") & (value == 0) if reading.mark in PERCENT else mark == ""
    right = pl.when((mark == reading.mark) | alone)
    return _parts(texts).select(right.then(value).alias(texts.name)).to_series()


def mark_of(text: str) -> str:
    """The currency, % or ‰ beside a number; empty for none."""
    return _parts(pl.Series([text]))["mark"][0] or ""


def units_of(texts: pl.Series, known: set[str]) -> set[str] | None:
    """The units of numbers such as 12 kg, with those already known; None if some have none.

    More than MOST_UNITS are none: such texts are codes.
    """
    if not all(re.match(_UNIT, text) for text in column_kinds.first_texts(texts)):
        return None
    found = column_kinds.present(texts).str.strip_chars().str.extract(_UNIT, 1)
    if found.null_count():
        return None
    units = known.union(found.unique().to_list())
    return units if len(units) <= MOST_UNITS else None


@dataclass
class NumberSurvey:
    """What the values of a column of text, so far, are as numbers.

    Attributes
    ----------
    n_present, n_point, n_comma, n_either : int
        Values, and how many fit a reading.
    differ : bool
        Whether a value means two numbers in the two readings.
    plain : bool
        Whether all are numbers as programs write them.
    given_up : bool
        Whether too few looked like numbers, so that no more values are looked at.
    """

    n_present: int = 0
    n_point: int = 0
    n_comma: int = 0
    n_either: int = 0
    differ: bool = False
    plain: bool = True
    given_up: bool = False
    marks: set[str] = field(default_factory=set)
    n_unmarked: int = 0  # those of 0 left out
    n_open: int = 0  # in parentheses
    others: dict[str, None] = field(default_factory=dict)
    distinct: set[float] = field(default_factory=set)
    examples: dict[str, str] = field(default_factory=dict)  # one that fits that reading alone
    shortest: int = 1 << 30  # lengths of plain numbers
    longest: int = 0
    _n_seen: dict[str, int] = field(default_factory=dict)  # how many an example was chosen from

    def add(self, texts: pl.Series) -> None:
        """Look at more values."""
        texts = column_kinds.present(texts)
        if self.given_up or not len(texts):
            return
        self.n_present += len(texts)
        sample = column_kinds.sample_of(texts, SAMPLE)
        if column_kinds.all_are(sample, column_kinds.NUMBER):
            values = column_kinds.as_kind(texts, column_kinds.NUMBER).values
            if not values.null_count():
                self._add_plain(texts, values)
                return
        self.plain = False
        look = _normal(pl.col("text")).str.contains(WRITTEN).mean()
        if sample.to_frame("text").select(look).item() < LEAST_LIKELY:
            self.given_up = True
            return
        self._add_written(texts)

    def add_no_numbers(self, n: int) -> None:
        """Count values that are known to be no numbers."""
        if not self.given_up:
            self.n_present += n
        self.plain, self.given_up = False, True

    def _add_plain(self, texts: pl.Series, values: pl.Series) -> None:
        """Count plain numbers, and find out whether their points may separate thousands."""
        self.n_point += len(texts)
        self.n_either += len(texts)
        self._keep_distinct(values.head(SAMPLE))
        self._keep_distinct(values)
        self.n_unmarked += int(np.count_nonzero(values.to_numpy()))
        self._look_for_codes(texts)
        if self.n_comma < self.n_present - len(texts):
            return  # the decimal comma is ruled out already
        first = (text for text in column_kinds.first_texts(texts) if "." in text)
        if not all(re.match(_PLAIN_GROUPS, text) for text in first):
            return
        pointed = texts.filter(texts.str.contains(".", literal=True)).str.strip_chars()
        if not len(pointed):
            self.n_comma += len(texts)
        elif (
            pointed.head(SAMPLE).str.contains(_PLAIN_GROUPS).all()
            and pointed.str.contains(_PLAIN_GROUPS).all()
        ):
            self.n_comma += len(texts)
            self.differ = True
            self.examples.setdefault("", pointed[0])

    def _look_for_codes(self, texts: pl.Series) -> None:
        """Note leading zeros, and the lengths of all texts."""
        lengths = texts.str.len_bytes()
        self.shortest = min(self.shortest, cast("int", lengths.min()))
        self.longest = max(self.longest, cast("int", lengths.max()))
        if "zeros" not in self.examples:
            zeros = texts.filter(texts.str.starts_with("0"))
            zeros = zeros.filter(zeros.str.contains(r"^0\d+$"))
            if len(zeros):
                self.examples["zeros"] = zeros[0]

    def _add_written(self, texts: pl.Series) -> None:
        parts = _parts(texts)
        point, comma = parts[POINT], parts[COMMA]
        is_point, is_comma = point.is_not_null(), comma.is_not_null()
        either = is_point | is_comma
        self.n_point += int(is_point.sum())
        self.n_comma += int(is_comma.sum())
        self.n_either += int(either.sum())
        other = (is_point & is_comma & (point != comma)).fill_null(value=False)
        self.differ |= bool(other.any())
        values = pl.select(pl.coalesce(point, comma)).to_series()
        self._keep_distinct(values)
        mark = parts["mark"].fill_null("").filter(either)
        if len(self.marks) < MOST_KEPT:
            self.marks.update(set(mark.unique().head(MOST_KEPT).to_list()) - {""})
        self.n_unmarked += int(((mark == "") & (values.filter(either) != 0)).sum())
        self.n_open += int(parts["open"].filter(either).is_not_null().sum())
        for name, alone in (
            (POINT, is_point & ~is_comma),
            (COMMA, is_comma & ~is_point),
            ("", other),
        ):
            self._keep_example(name, texts.filter(alone))
        if len(self.others) < MOST_KEPT:
            strange = texts.filter(~either).unique(maintain_order=True).head(MOST_KEPT)
            self.others.update(dict.fromkeys(strange.to_list()))
        self._keep_example("any", texts.filter(either))

    def _keep_example(self, name: str, texts: pl.Series) -> None:
        """Keep the longest of the first values, which shows most."""
        n_seen = self._n_seen.get(name, 0)
        few = texts.head(SAMPLE - n_seen)
        if len(few):
            longest = few[int(few.str.len_chars().arg_max() or 0)]
            self.examples[name] = max(self.examples.get(name, ""), longest, key=len)
            self._n_seen[name] = n_seen + len(few)

    def _keep_distinct(self, values: pl.Series) -> None:
        if len(self.distinct) < MOST_KEPT:
            self.distinct.update(values.drop_nulls().unique().head(MOST_KEPT).to_list())

    @property
    def both_fit(self) -> bool:
        """Whether all values fit both readings."""
        return self.n_point == self.n_comma == self.n_present

    @property
    def ambiguous(self) -> bool:
        """Whether all values fit both readings, and some mean different numbers in the two."""
        return self.both_fit and self.differ

    @property
    def comma_only(self) -> bool:
        """Whether some value can only be read with a decimal comma."""
        return COMMA in self.examples

    def decimal(self, given: str | None) -> str:
        """The reading that fits most values; if both fit as many, the one that the user gave."""
        if self.n_point == self.n_comma:
            return given or EITHER
        return COMMA if self.n_comma > self.n_point else POINT

    @property
    def mark(self) -> str:
        """The one mark; empty if there is none, or several."""
        return next(iter(self.marks)) if len(self.marks) == 1 else ""

    @property
    def mixed(self) -> str:
        """Why values that are all numbers are no column of numbers; empty if they are one."""
        if self.n_point < self.n_present and self.n_comma < self.n_present:
            first, second = self.examples.get(COMMA, ""), self.examples.get(POINT, "")
            return f"mixes decimal commas and decimal points, such as {first!r} and {second!r}"
        if len(self.marks) > 1:
            return f"mixes {' and '.join(sorted(self.marks)[:3])}, which are not of one unit"
        if self.mark in PERCENT and self.n_unmarked:
            return f"mixes numbers with and without {self.mark}"
        if self.n_open == self.n_present:
            return "has all numbers in parentheses, which may or may not mean below 0"
        return ""


def _parts(texts: pl.Series) -> pl.DataFrame:
    """What each text consists of, and the number in either reading; null where there is none."""
    groups, parts = _expressions()
    return texts.to_frame("text").select(groups).unnest("text").select(parts)


@cache  # building them takes longer than applying them to a hundred texts
def _expressions() -> tuple[pl.Expr, list[pl.Expr]]:
    """From texts to groups, and from groups to parts and numbers."""
    groups = _normal(pl.col("text")).str.extract_groups(WRITTEN)
    whole = (
        pl.col("body").is_not_null()
        & (pl.col("open").is_null() == pl.col("close").is_null())
        & (pl.col("before").is_null() | pl.col("after").is_null())
        & (
            pl.sum_horizontal(
                pl.col(name).is_not_null().cast(pl.Int8)
                for name in ("open", "sign", "inner", "last")
            )
            <= 1
        )
        # A trailing minus is bookkeeping notation, where amounts have two decimals.
        & (pl.col("last").is_null() | pl.col("body").str.contains(r"[.,]\d\d$"))
    )
    minus = (
        pl.col("open").is_not_null()
        | pl.col("last").is_not_null()
        | (pl.col("sign") == "-").fill_null(value=False)
        | (pl.col("inner") == "-").fill_null(value=False)
    )
    sign = pl.when(minus).then(-1.0).otherwise(1.0)
    return groups, [
        pl.when(whole).then(pl.coalesce("before", "after")).alias("mark"),
        pl.when(whole).then(pl.col("open")).alias("open"),
        *(pl.when(whole).then(_value(decimal) * sign).alias(decimal) for decimal in DECIMALS),
    ]


def _normal(text: pl.Expr) -> pl.Expr:
    """The text with one kind of minus, and without the dashes that stand for no cents."""
    one_minus = text.str.strip_chars().str.replace_all(DASHES, "-")
    return one_minus.str.replace(NO_CENTS, "${1}${2}")


def _value(decimal: str) -> pl.Expr:
    """The digits as a number in one of the readings, without its sign; null where there is none."""
    body = pl.col("body")
    digits = body.str.replace_all(f"[{APART[decimal]}]", "")
    if decimal == COMMA:
        digits = digits.str.replace(",", ".", literal=True)
    return pl.when(body.str.contains(BODY[decimal])).then(digits.cast(pl.Float64, strict=False))
