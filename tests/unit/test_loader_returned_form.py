"""Records on their way back: which form they have. Which ones, and who opens them: tests/integration/test_loader_returned.py."""

import csv
import io

from loader.returned import as_csv

RECORDS = [
    (None, 3, "qty", "value_invalid", "is no integer", '3,"a, b",x', 4),
    (None, 5, None, "csv_malformed", "has 4 fields, not 3", "4,c\n,1,2", 4),
]


def test_the_form_is_that_of_rfc_4180() -> None:
    assert as_csv([(*each[:-1], 2) for each in RECORDS]) == (
        "line,column,reason,raw,part\r\n"
        '3,qty,value_invalid: is no integer,"3,""a, b"",x",\r\n'
        '5,,"csv_malformed: has 4 fields, not 3","4,c\n,1,2",\r\n'
    )


def test_the_last_line_says_how_many_more_there_are() -> None:
    lines = list(csv.reader(io.StringIO(as_csv([(*each[:-1], 1236) for each in RECORDS]), newline="")))
    assert [len(line) for line in lines] == [5] * 4
    assert lines[-1] == ["", "", "and 1,234 more, which only the host has", "", ""]


def test_of_a_group_each_line_says_of_which_part() -> None:
    assert as_csv([(7, *RECORDS[0][1:-1], 1)]).splitlines()[1].endswith(",7")
