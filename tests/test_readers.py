"""Files of every format: read right, worked out aloud, refused in plain words when broken."""

import contextlib
import hashlib
import io
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyreadr
import pyreadstat
import pytest

from alliance.problems import StudyError
from alliance.readers import read_table, read_tables, resolve_path
from alliance.readers.answers import entry_key, keyed, to_categories, to_numbers, to_sessions
from alliance.readers.dates import AMBIGUOUS, to_dates
from alliance.readers.patterns import fill_item, fill_session, match_sessions, not_sessions
from alliance.readers.resolve import download, downloaded_name
from alliance.study import Study, Table

SHARED = Path(__file__).parents[2] / "shared" / "data"


def read(folder, name, content=None, **options):
    if isinstance(content, str):
        content = content.encode()
    if content is not None:
        (folder / name).write_bytes(content)
    return read_table("t", Table(path=name, **options), folder)


def problems_of(call, *args, **options):
    with pytest.raises(StudyError) as caught:
        call(*args, **options)
    for problem in caught.value.problems:
        assert problem.file
        assert problem.found
        assert problem.expected
        assert problem.fix
    return caught.value.problems


def problem_of(call, *args, **options):
    problems = problems_of(call, *args, **options)
    assert len(problems) == 1
    return problems[0]


ROWS = [("a", 1, 2.5), ("b", 2, 3.0), ("ü", 3, 0.25)]


def text_of(separator, decimal, header=True):
    lines = ["id,session,score".replace(",", separator)] if header else []
    lines += [separator.join((i, str(s), str(x).replace(".", decimal))) for i, s, x in ROWS]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), ("\t", ","), ("|", ".")]
)
def test_every_encoding_separator_and_decimal_mark_gives_the_same_table(
    tmp_path, encoding, separator, decimal
):
    raw = read(tmp_path, "x.csv", text_of(separator, decimal).encode(encoding))
    assert list(raw.frame["id"]) == [i for i, _, _ in ROWS]
    assert list(raw.frame["session"]) == [1, 2, 3]
    assert list(raw.frame["score"]) == [x for _, _, x in ROWS]
    assert raw.first_row == 2
    said = "; ".join(raw.notes)
    assert ("decimal comma" if decimal == "," else "decimal point") in said
    assert "encoding" in said
    assert "separator" in said


def test_comma_separated_with_quoted_decimal_commas_and_separators_in_text(tmp_path):
    raw = read(tmp_path, "x.csv", 'id,score,note\n1,"2,5","one, two"\n2,"3,5","a ""word"""\n')
    assert list(raw.frame["score"]) == [2.5, 3.5]
    assert list(raw.frame["note"]) == ["one, two", 'a "word"']


def test_thousands_are_no_decimal_commas(tmp_path):
    raw = read(tmp_path, "x.csv", 'id,income\n1,"1,234"\n2,"20,500"\n')
    assert raw.frame["income"].tolist() == ["1,234", "20,500"]  # text, for validation to report
    semicolons = read(tmp_path, "y.csv", "id;level\n1;4,204\n2;3,931\n")
    assert semicolons.frame["level"].tolist() == [4.204, 3.931]


def test_white_space_without_header_and_dos_end_of_file(tmp_path):
    content = b"  101   26  1\r\n  101    .  2\r\n  102    7  1\r\n\x1a\x1a"
    raw = read(tmp_path, "x.dat", content, header=False, column_names=["id", "score", "week"])
    assert raw.frame["score"].isna().tolist() == [False, True, False]
    assert raw.frame["score"].dropna().tolist() == [26, 7]
    assert raw.first_row == 1
    assert any("1A" in note for note in raw.notes)
    assert any("1 entries '.'" in note for note in raw.notes)


def test_declared_encoding_separator_and_decimal_are_obeyed(tmp_path):
    content = "id;x\nmü;1,5\n".encode("latin-1")
    raw = read(tmp_path, "x.txt", content, encoding="latin-1", separator=";", decimal=".")
    assert raw.frame["id"].tolist() == ["mü"]
    assert raw.frame["x"].tolist() == ["1,5"]  # decimal point declared, so 1,5 is no number


def test_ids_with_leading_zeros_stay_text_and_missing_marks_are_counted(tmp_path):
    raw = read(tmp_path, "x.csv", "id,x,y\n007,NA,free\n012,3,NA\n100,#N/A,none\n")
    assert raw.frame["id"].tolist() == ["007", "012", "100"]
    assert raw.frame["x"].isna().sum() == 2
    assert raw.frame["y"].isna().tolist() == [False, True, False]  # 'none' is a word in a text
    assert "column 'x': 2 entries '#N/A', 'NA' read as empty" in raw.notes


def test_row_numbers_survive_titles_and_empty_rows(tmp_path):
    raw = read(tmp_path, "x.csv", "sep=;\n\nid;x\n1;2\n\n3;4\n\n\n")
    assert raw.first_row == 4  # line 1 is Excel's hint, line 2 empty, line 3 the header
    assert raw.frame["id"].isna().tolist() == [False, True, False]


def test_row_names_of_r_and_separators_at_the_end_of_lines(tmp_path):
    named = read(tmp_path, "r.txt", '"id" "x"\n"1" 5 2\n"2" 6 3\n')
    assert list(named.frame.columns) == ["row_name", "id", "x"]
    trailing = read(tmp_path, "t.csv", "id;x;\n1;2;\n3;4;\n")
    assert list(trailing.frame.columns) == ["id", "x"]


def test_repeated_and_nameless_columns_are_told(tmp_path):
    raw = read(tmp_path, "x.csv", "id,x,,x\n1,2,3,4\n")
    assert list(raw.frame.columns) == ["id", "x", "column_3", "x (2)"]
    assert raw.repeated == {"x"}


def excel(path, rows, sheet="data", merge=None):
    book = openpyxl.Workbook()
    book.active.title = "readme"
    page = book.create_sheet(sheet)
    for row in rows:
        page.append(row)
    if merge:
        page.merge_cells(merge)
    book.save(path)


def test_excel_sheet_by_name_and_number_with_dates_and_numbers_in_words(tmp_path):
    rows = [["id", "date", "x", "y"], [101, datetime(2026, 3, 1), "2,5", 1], [None] * 4,
            [102, datetime(2026, 3, 8), 3, "#N/A"]]  # fmt: skip
    excel(tmp_path / "x.xlsx", rows)
    for sheet in ("data", 2):
        raw = read(tmp_path, "x.xlsx", sheet=sheet)
        assert raw.first_row == 2
        assert len(raw.frame) == 3
        assert raw.frame["date"].tolist()[::2] == [
            pd.Timestamp(2026, 3, 1),
            pd.Timestamp(2026, 3, 8),
        ]
        assert raw.decimal == ","
        assert raw.frame["y"].isna().tolist() == [False, True, True]


def test_spss_value_labels_and_user_missing_codes(tmp_path):
    frame = pd.DataFrame({"id": ["a ", "b", "c", "d"], "q": [1.0, 9.0, -99.0, np.nan]})
    pyreadstat.write_sav(
        frame, tmp_path / "x.sav", variable_value_labels={"q": {1.0: "never", 9.0: "no answer"}},
        missing_ranges={"q": [9, {"lo": -100, "hi": -90}]},
    )  # fmt: skip
    raw = read(tmp_path, "x.sav")
    assert raw.frame["q"].isna().tolist() == [False, True, True, True]
    assert raw.value_labels["q"][1.0] == "never"
    assert "user-missing code -99: 1 entry in column 'q' read as empty" in raw.notes
    assert "user-missing code 9: 1 entry in column 'q' read as empty" in raw.notes


def test_user_missing_codes_of_many_columns_are_told_once_per_code(tmp_path):
    items = [f"wai_{item}" for item in range(1, 41)]
    frame = pd.DataFrame({"id": ["a", "b"]} | {item: [1.0, 99.0] for item in items})
    ranges = {item: [99] for item in items}
    pyreadstat.write_sav(frame, tmp_path / "x.sav", missing_ranges=ranges)
    (note,) = [note for note in read(tmp_path, "x.sav").notes if "user-missing" in note]
    assert note.startswith("user-missing code 99: 40 entries in columns 'wai_1', ")
    assert note.endswith(", ... (40 columns) read as empty")


def test_rows_are_numbered_as_the_program_of_the_file_shows_them(tmp_path):
    """Names of columns are a row of a sheet or text file, none in SPSS, Stata and R."""
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.5, 2.5]})
    pyreadstat.write_sav(frame, tmp_path / "x.sav")
    pyreadstat.write_dta(frame, tmp_path / "x.dta")
    pyreadr.write_rds(tmp_path / "x.rds", frame)
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_csv(tmp_path / "x.csv", index=False)
    first = {e: read(tmp_path, f"x.{e}").first_row for e in ("sav", "dta", "rds", "parquet", "csv")}
    assert first == {"sav": 1, "dta": 1, "rds": 1, "parquet": 1, "csv": 2}


def test_stata_labels_and_extended_missing(tmp_path):
    frame = pd.DataFrame({"id": [1, 2, 3], "q": [1, 2, "a"]})
    pyreadstat.write_dta(
        frame, tmp_path / "x.dta", missing_user_values={"q": ["a"]},
        variable_value_labels={"id": {1: "one"}},
    )  # fmt: skip
    raw = read(tmp_path, "x.dta")
    assert raw.frame["q"].isna().tolist() == [False, False, True]
    assert raw.frame["q"].dtype == "float64"
    assert any("extended missing code a: 1 entry" in note for note in raw.notes)


def test_r_files(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.5, np.nan]})
    pyreadr.write_rds(tmp_path / "x.rds", frame)
    pyreadr.write_rdata(tmp_path / "x.RData", frame, df_name="mine")
    for name, options in [("x.rds", {}), ("x.RData", {}), ("x.RData", {"object": "mine"})]:
        raw = read(tmp_path, name, **options)
        assert raw.frame["id"].tolist() == ["a", "b"]
        assert raw.frame["x"].isna().tolist() == [False, True]
    problem = problem_of(read, tmp_path, "x.RData", object="mime")
    assert problem.code == "UNKNOWN_OBJECT"
    assert "mine" in problem.fix


def test_parquet_keeps_types_and_a_named_index(tmp_path):
    frame = pd.DataFrame(
        {"x": [1, 2], "arm": pd.Categorical(["a", "b"])}, index=pd.Index([7, 8], name="id")
    )
    frame.to_parquet(tmp_path / "x.parquet")
    raw = read(tmp_path, "x.parquet")
    assert raw.frame["id"].tolist() == [7, 8]
    assert raw.frame["arm"].tolist() == ["a", "b"]


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "nothing")
    return buffer.getvalue()


OLE = b"\xd0\xcf\x11\xe0" + b"\0" * 100
BROKEN = [
    ("x.csv", b"", {}, "EMPTY_FILE", "Export"),
    ("x.csv", b" \r\n\r\n", {}, "EMPTY_FILE", "Export"),
    ("x.csv", b"id;x\r\n", {}, "NO_ROWS", "header: false"),
    ("x.csv", zipped(), {}, "WRONG_FORMAT", "rename"),
    ("x.csv", b"id,x\n1,2\n2,3,4\n3,4\n", {}, "TOO_MANY_ENTRIES", "quotation marks"),
    ("x.csv", "id,x\nü,1\n".encode("cp1252"), {"encoding": "utf-8"}, "WRONG_ENCODING", "Leave"),
    ("x.csv", b"id,x\n1,2\n", {"encoding": "utf8x"}, "UNKNOWN_ENCODING", "Leave"),
    ("x.dat", b"1 2\n3 4\n", {"header": False, "column_names": ["a", "b", "c"]},
     "WRONG_COLUMN_NAMES", "one name per column"),
    ("x.xlsx", b"", {}, "EMPTY_FILE", "Export"),
    ("x.xlsx", b"PK\x03\x04 and no more", {}, "UNREADABLE_FILE", "save it again"),
    ("x.xlsx", b"id;x\n1;2\n", {}, "WRONG_FORMAT", "rename"),
    ("x.xlsx", OLE, {}, "WRONG_FORMAT", "export it again"),
    ("x.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), {}, "PASSWORD_PROTECTED", "password"),
    ("x.sav", b"id,x\n1,2\n", {}, "WRONG_FORMAT", "rename"),
    ("x.sav", zipped(), {}, "WRONG_FORMAT", "rename"),
    ("x.dta", b"nonsense\0", {}, "UNREADABLE_FILE", "save it again"),
    ("x.rds", b"nonsense\0", {}, "UNREADABLE_FILE", "save it again"),
    ("x.parquet", b"PAR1\0 and no more", {}, "UNREADABLE_FILE", "save it again"),
    ("x.xls", OLE, {}, "UNKNOWN_FORMAT", "save it as .xlsx"),
    ("x.docx", b"x", {}, "UNKNOWN_FORMAT", "formats"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "code", "fix"), BROKEN)
def test_a_broken_file_is_told_in_plain_words(tmp_path, name, content, options, code, fix):
    problem = problem_of(read, tmp_path, name, content, **options)
    assert (problem.code, problem.severity, problem.file) == (code, "error", name)
    assert fix in problem.fix
    assert str(tmp_path) not in problem.as_text()


def test_a_text_file_may_begin_like_another_format(tmp_path):
    assert list(read(tmp_path, "x.csv", "PAR1,PAR2\n1,2\n").frame.columns) == ["PAR1", "PAR2"]


@pytest.mark.parametrize("ending", ["xlsx", "sav", "dta", "rds", "rdata", "parquet"])
def test_a_damaged_file_never_ends_in_a_stack_trace(tmp_path, ending):
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.0, np.nan]})
    path = tmp_path / f"x.{ending}"
    writers = {
        "xlsx": lambda: frame.to_excel(path, index=False),
        "sav": lambda: pyreadstat.write_sav(frame, path),
        "dta": lambda: pyreadstat.write_dta(frame, path),
        "rds": lambda: pyreadr.write_rds(path, frame),
        "rdata": lambda: pyreadr.write_rdata(path, frame),
        "parquet": lambda: frame.to_parquet(path),
    }
    writers[ending]()
    whole = path.read_bytes()
    rng = np.random.default_rng(11)
    for damage in range(30):
        part = bytearray(whole[: int(rng.integers(1, len(whole)))] if damage % 2 else whole)
        part[int(rng.integers(0, len(part)))] ^= 0xFF
        with contextlib.suppress(StudyError):  # a changed byte need not do harm
            read(tmp_path, path.name, bytes(part))


def test_rows_with_too_many_entries_are_numbered(tmp_path):
    problem = problem_of(read, tmp_path, "x.csv", "id,x\n1,2\n2,3,4\n3,4\n5,6,7\n")
    assert problem.where == "rows 3, 5"


@pytest.mark.parametrize(
    ("rows", "merge", "code", "where"),
    [
        ([["Study of 2026"], ["id", "x", "y"], [1, 2, 3]], None, "TITLE_ROW", "row 1"),
        ([["id", "alliance", None], [1, 2, 3]], "B1:C1", "MERGED_HEADER", "B1:C1"),
        ([["id", "x"]], None, "NO_ROWS", "data"),
        ([["id", "x"], [1, "=1+1"]], None, "FORMULA_WITHOUT_VALUE", "B2"),
    ],
)
def test_untidy_sheets(tmp_path, rows, merge, code, where):
    excel(tmp_path / "x.xlsx", rows, merge=merge)
    problem = problem_of(read, tmp_path, "x.xlsx", sheet="data")
    assert problem.code == code
    assert where in problem.where


def test_messages_name_the_sheet_where_a_workbook_has_several(tmp_path):
    """Row 7 is another row on every sheet."""
    excel(tmp_path / "x.xlsx", [["id", "wai_1"], ["a", 1], ["b", 2]])
    assert read(tmp_path, "x.xlsx", sheet="data").file == "x.xlsx, sheet 'data'"
    alone = openpyxl.load_workbook(tmp_path / "x.xlsx")
    del alone["readme"]
    alone.save(tmp_path / "y.xlsx")
    assert read(tmp_path, "y.xlsx").file == "y.xlsx"


def test_a_sheet_named_after_a_person_goes_by_its_number(tmp_path):
    """A workbook may have a sheet for every client; titles stand in messages and the report."""
    with pd.ExcelWriter(tmp_path / "x.xlsx") as book:
        for title in ("Sitzungen", "Anna Muster"):
            pd.DataFrame({"id": ["P1"], "a": [1]}).to_excel(book, sheet_name=title, index=False)
    for sheet in ("Anna Muster", 2):
        raw = read(tmp_path, "x.xlsx", sheet=sheet)
        assert (raw.file, raw.notes[0]) == ("x.xlsx, sheet 2", "sheet 2")
    problem = problem_of(read, tmp_path, "x.xlsx", sheet="Anna")
    assert problem.expected == "one of 'Sitzungen', or a number from 1 to 2"
    assert "Muster" not in problem.as_text()


def test_unknown_sheet_suggests_the_likely_one(tmp_path):
    excel(tmp_path / "x.xlsx", [["id"], [1]])
    problem = problem_of(read, tmp_path, "x.xlsx", sheet="date")
    assert problem.code == "UNKNOWN_SHEET"
    assert "'data'" in problem.fix


def minimal_study(tables):
    return Study.model_validate(
        {
            "id": "x", "title": "x", "data": {"tables": tables},
            "columns": {"client": "id", "session": "s"},
            "timing": {"alliance_when": "post", "outcome_when": "pre"},
            "measures": {"y": {"role": "outcome", "label": "y", "column": "y",
                               "higher_is": "worse"}},
        }
    )  # fmt: skip


def test_problems_of_all_files_come_at_once(tmp_path):
    (tmp_path / "sessions.csv").write_text("id,s,y\n1,1,2\n")
    (tmp_path / "b.csv").write_text("")
    study = minimal_study(
        {"a": {"path": "session.csv"}, "b": {"path": "b.csv"}, "c": {"path": "no/where.csv"}}
    )
    problems = problems_of(read_tables, study, tmp_path)
    assert [p.code for p in problems] == ["MISSING_FILE", "EMPTY_FILE", "MISSING_FILE"]
    assert problems[0].fix == "Did you mean 'sessions.csv'?"
    assert problems[2].found == "no such folder"


def test_the_downloaded_copy_stands_in_for_an_absent_file(tmp_path):
    content = b"id,s,y\n1,1,2\n"
    original = tmp_path / "original.csv"
    original.write_bytes(content)
    source = {"url": original.as_uri(), "sha256": hashlib.sha256(content).hexdigest()}
    table = Table.model_validate({"path": "mine.csv", "download": source})
    assert resolve_path(table, tmp_path) is None
    assert "download" in problem_of(read_table, "t", table, tmp_path).fix
    copy = tmp_path / "data" / "external" / downloaded_name(table.download)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(content)
    assert resolve_path(table, tmp_path) == copy
    assert len(read_table("t", table, tmp_path).frame) == 1
    (tmp_path / "mine.csv").write_bytes(content)
    assert resolve_path(table, tmp_path) == tmp_path / "mine.csv"


def test_download_keeps_what_has_the_checksum_and_tells_what_cannot_be_had(tmp_path):
    content = b"id,s,y\n1,1,2\n"
    source = {"url": "https://localhost:1/y.csv", "sha256": hashlib.sha256(content).hexdigest()}
    study = minimal_study({"a": {"path": "y.csv", "download": source}})
    problem = problem_of(download, study, tmp_path)
    assert problem.code == "DOWNLOAD_FAILED"
    there = tmp_path / downloaded_name(study.data.tables["a"].download)
    there.write_bytes(content)
    assert download(study, tmp_path) == [there]


def test_entries_are_compared_without_case_white_space_and_trailing_zeros():
    assert entry_key(" Very  Often ") == entry_key("very often")
    assert entry_key(1) == entry_key(1.0) == entry_key("1") == entry_key("1.00") == "1"
    assert entry_key("1,50", ",") == "1.5"
    assert keyed({True: 1, False: 0, "Oft": 2}) == {
        "true": 1, "yes": 1, "on": 1, "false": 0, "no": 0, "off": 0, "oft": 2,
    }  # fmt: skip


def test_answers_in_words_codes_and_leftover_text():
    answers = pd.Series(["Never", "always ", "3", "-9", ".", None, "4,5", "maybe"])
    got = to_numbers(answers, keyed({"never": 1, "Always": 5}), [-9], ",")
    assert got.column.dtype == object
    assert got.column.tolist() == [1.0, 5.0, 3.0, None, None, None, 4.5, "maybe"]
    assert got.missing_codes == {"-9": 1}
    without = to_numbers(answers[:-1], keyed({"never": 1, "Always": 5}), [-9], ",")
    assert without.column.dtype == "Float64"


def test_numeric_columns_lose_their_codes_and_booleans_become_numbers():
    got = to_numbers(pd.Series([1, 99, -9, 5]), None, [-9, 99, "none"])
    assert got.column.isna().tolist() == [False, True, True, False]
    assert got.missing_codes == {"99": 1, "-9": 1}
    assert to_numbers(pd.Series([True, False])).column.tolist() == [1.0, 0.0]


def test_sessions_and_categories():
    got = to_sessions(
        pd.Series(["0", "Post-Rx", "1", "18"]), keyed({"post-rx": None, 18: None}), "."
    )
    assert got.column.dtype == "Int64"
    assert got.dropped.tolist() == [False, True, False, True]
    assert to_sessions(pd.Series(["1", "two"]), None, ".").column.tolist() == [1.0, "two"]
    assert to_sessions(pd.Series([1.5, 2.0]), None, ".").column.dtype == "Float64"
    arms = to_categories(pd.Series([1.0, 2.0, np.nan]), keyed({1: "A"})).column
    assert arms.tolist()[:2] == ["A", "2"]
    assert arms.isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    "written",
    [
        ["2026-03-14", "2026-04-01"],
        ["14.03.2026", "1.4.2026"],
        ["14/03/2026", "01/04/2026"],
        ["3/14/2026", "4/1/2026"],
        ["14-Mar-2026", "01-Apr-2026"],
        ["2026-03-14T09:30:00", "2026-04-01 10:00"],
        ["20260314", "20260401"],
        [20260314.0, 20260401.0],
        [46095.0, 46113.0],
        [pd.Timestamp(2026, 3, 14, 9), pd.Timestamp(2026, 4, 1)],
    ],
)
def test_dates_as_people_write_them(written):
    got = to_dates(pd.Series(written))
    assert got.column.tolist() == [pd.Timestamp(2026, 3, 14), pd.Timestamp(2026, 4, 1)]
    assert AMBIGUOUS not in got.notes


def test_dates_that_could_be_either_way_round_and_entries_that_are_no_dates():
    assert to_dates(pd.Series(["03/04/2026", "05/06/2026"])).notes[0] == AMBIGUOUS
    got = to_dates(pd.Series(["2026-03-14", "last week", None]))
    assert got.column.dtype == object
    assert got.column.tolist()[1] == "last week"
    assert got.column.isna().tolist()[2]


def test_patterns():
    assert fill_item("wai_{item:02d}_s{session}", 3) == "wai_03_s{session}"
    assert fill_session("s{session:02d}", 4) == "s04"
    columns = ["bdi_s0", "bdi_s10", "bdi_s2", "bdi_s02", "bdi_sfu1", "rq_s1"]
    assert match_sessions("bdi_s{session}", columns) == {0: "bdi_s0", 2: "bdi_s2", 10: "bdi_s10"}
    assert match_sessions("bdi_s{session:02d}", columns) == {2: "bdi_s02", 10: "bdi_s10"}
    assert not_sessions("bdi_s{session}", columns) == ["bdi_s02", "bdi_sfu1"]
    assert match_sessions("s{session}_wai", ["s1_wai", "s12_wai", "s1_wait"]) == {
        1: "s1_wai", 12: "s12_wai",
    }  # fmt: skip


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data are not here")
def test_real_reisby_file_with_dos_end_of_file_mark():
    table = Table(
        path="reisby/riesby.dat.txt", header=False,
        column_names=["id", "hamd", "one", "week", "endogenous", "product"],
    )  # fmt: skip
    frame = read_table("t", table, SHARED).frame
    assert len(frame) == 396
    assert frame["hamd"].notna().sum() == 375
    assert frame["id"].nunique() == 66
