"""`read_csv`: every row has the fields of the header, whatever the options."""

import lzma
import zipfile

import pandas as pd
import pytest

import kmtl

TABLE = {"a": [1, 3], "b": [2, 4], "y": [0, 1]}


@pytest.fixture
def read(tmp_path):
    """Writes a text and reads it as a table."""
    file = tmp_path / "rows.csv"

    def written_and_read(text, **options):
        file.write_bytes(text.encode(options.get("encoding", "utf-8")))
        return pd.concat(kmtl.data.read_csv(file, **options)).to_dict("list")

    return written_and_read


@pytest.mark.parametrize("columns", [None, ["y"], ["b", "y"]])
@pytest.mark.parametrize("more", [",9", ","])
def test_rows_longer_than_the_header_are_refused(read, columns, more):
    text = f"a,b,y\n1,2,0{more}\n3,4,1{more}\n"
    message = r"rows\.csv' cannot be read .*line 2 must have 3 fields and has 4.*names="
    with pytest.raises(OSError, match=message):
        read(text, columns=columns)


def test_names_of_rows_are_read_once_they_have_a_name(read):
    text = "a,b,y\nr1,1,2,0\nr2,3,4,1\n"
    names = ["row", "a", "b", "y"]
    assert read(text, names=names, header=0) == {"row": ["r1", "r2"], **TABLE}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_a_file_that_was_cut_off_is_refused(read, end):
    text = f"a,b,y{end or chr(10)}1,2,0{end or chr(10)}3,4"
    with pytest.raises(OSError, match="line 3 must have 3 fields and has 2"):
        read(text + end)


def test_text_with_nul_bytes_is_refused(read):
    with pytest.raises(OSError, match="line 3 holds NUL bytes"):
        read("a,b,y\n1,2,0\n\0\0\0\n3,4,1\n")


def test_rows_before_a_short_one_are_kept_when_asked(read):
    text = "a,b,y\n1,2,0\n3,4,1\n5\n7,8,1\n"
    with pytest.warns(UserWarning, match=r"rows\.csv after 2 rows .*line 4 must have"):
        assert read(text, chunk_rows=2, skip_corrupt=True) == TABLE


WHOLE = {
    "blank lines": ("a,b,y\n1,2,0\n\n \t\n3,4,1", {}),
    "other line ends": ("a,b,y\r\n1,2,0\r\n\r\n3,4,1\r\n", {}),
    "comments": ("# x,\na,b,y\n1,2,0# ,,\n3,4,1\n", {"comment": "#"}),
    "white space": ("a b y\n 1  2\t0 \n3 4 1\n", {"sep": r"\s+"}),
    "a title": ("Of, all\na,b,y\n1,2,0\n3,4,1\n", {"skiprows": 1}),
    "a title before the header": ("Title\n\na,b,y\n1,2,0\n3,4,1\n", {"header": 1}),
    "rows left out": ("a,b,y\nx\n1,2,0\n3,4,1\n", {"skiprows": [1]}),
    "rows left out by a rule": ("x\na,b,y\n1,2,0\n3,4,1", {"skiprows": (0).__eq__}),
    "names": ("1,2,0\n3,4,1\n", {"names": ["a", "b", "y"]}),
    "UTF-16": ("a;b;y\n1;2;0\n3;4;1\n", {"encoding": "utf-16", "sep": ";"}),
}


@pytest.mark.parametrize(("text", "options"), WHOLE.values(), ids=WHOLE)
def test_whole_rows_are_read(read, text, options):
    assert read(text, **options) == TABLE


@pytest.mark.parametrize(("text", "options"), WHOLE.values(), ids=WHOLE)
def test_short_rows_are_refused_with_the_same_options(read, text, options):
    separator = options.get("sep", ",").replace(r"\s+", " ")
    with pytest.raises(OSError, match="must have 3 fields and has 2"):
        read(f"{text.rstrip()}\n5{separator}6\n", **options)


QUOTED = {
    "quotes": ('t,y\n"a,\n""b",0\n"",1\n', {}, ['a,\n"b', None]),
    "quotes inside a field": ('t,y\n5",0\n"6"",",1\n', {}, ['5"', '6",']),
    "no quotes": ('t,y\n5",0\n6",1\n', {}, ['5"', '6"']),
    "quotes after spaces": ('t, y\n "a,b", 0\n c, 1\n', {"skipinitialspace": True}),
    "comments": ('t,y\n"#,",0#"\nc,1\n', {"comment": "#"}, ["#,", "c"]),
    "escapes": ('t,y\na\\,b,0\n"c\\",",1\n', {"escapechar": "\\"}, ["a,b", 'c",']),
    "no special quotes": ('t,y\n"a,0\nb",1\n', {"quoting": 3}, ['"a', 'b"']),
    "quoted white space": ('t y\n"a  b" 0\nc 1\n', {"sep": r"\s+"}, ["a  b", "c"]),
}
QUOTED["quotes after spaces"] += (["a,b", "c"],)


@pytest.mark.parametrize(("text", "options", "texts"), QUOTED.values(), ids=QUOTED)
def test_separators_that_are_text_do_not_count(read, text, options, texts):
    table = read(text, **options)
    assert pd.Series(table["t"]).equals(pd.Series(texts, dtype="str"))
    assert table["y"] == [0, 1]


def test_rows_that_span_blocks_are_whole(read):
    long = "x," * 100_000
    text = "t,y\n" + f'"{long}\n{long}",0\n"b",1\n' * 3
    assert read(text)["y"] == [0, 1] * 3
    with pytest.raises(OSError, match="line 11 must have 2 fields and has 1"):
        read(text + '"b"\n')


def test_a_quote_without_an_end_is_refused(read, monkeypatch):
    monkeypatch.setattr("kmtl.data._csv_text._LONGEST_ROW", 1 << 19)
    with pytest.raises(OSError, match="line 2 starts a row without an end"):
        read('t,y\n"a,0\n' + "b,1\n" * 200_000)


def test_compressed_files_are_checked_too(tmp_path):
    text = "a,b\n1,2\n3\n"
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("rows.csv", text)
    (tmp_path / "rows.csv.xz").write_bytes(lzma.compress(text.encode()))
    for name in ("rows.zip", "rows.csv.xz"):
        with pytest.raises(OSError, match="line 3 must have 2 fields and has 1"):
            list(kmtl.data.read_csv(tmp_path / name))
    (tmp_path / "rows.csv.zst").write_bytes(b"")
    with pytest.raises(ValueError, match=r"`compression` must be one of .*'zstd'"):
        kmtl.data.read_csv(tmp_path / "rows.csv.zst")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"header": None}, "`names` must be given where files have no header"),
        ({"header": [0, 1]}, "`header` must be the number of one row"),
        ({"names": [0, 1, 2]}, "must have texts for names. Received: 0"),
        ({"sep": "[,;]"}, r"`sep` must be one ASCII character, or `'\\s\+'`"),
        ({"sep": " ", "skipinitialspace": True}, r"Use `sep=r'\\s\+'`"),
        ({"engine": "python"}, "`engine` must not be given: files are read by"),
        ({"on_bad_lines": "skip"}, "`on_bad_lines` must not be given: all rows"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(read, options, message):
    with pytest.raises(ValueError, match=message):
        read("1,2,0\n3,4,1\n", **options)


def test_dates_need_not_be_read(read):
    text = "a,day,y\n1,2025-01-01,0\n"
    assert read(text, parse_dates=["day"], columns=["a", "y"]) == {"a": [1], "y": [0]}
    days = read(text, parse_dates=[1], columns=["day"])["day"]
    assert days == [pd.Timestamp("2025-01-01")]


def test_a_column_of_numbers_with_a_few_words_is_refused(read):
    text = "x,y\n" + "1.5,0\n" * 38 + "oops,1\n-,1\n"
    with pytest.raises(TypeError, match=r"numbers in .*rows\.csv', but for \['oops'"):
        read(text)
    assert read(text, dtype={"x": "str"})["x"][0] == "1.5"
    assert read(text, na_values=["oops", "-"])["x"][0] == 1.5
    with pytest.raises(TypeError, match=r"number in .*text in .*such as \['oops'"):
        read(text, chunk_rows=8)


def test_a_column_of_codes_is_text(read):
    assert read("x,y\n" + "1,0\nA,1\n" * 3)["x"] == ["1", "A"] * 3
