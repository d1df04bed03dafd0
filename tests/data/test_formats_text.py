from __future__ import annotations

from pathlib import Path

import pytest

from mmauto.data.formats import open_table
from mmauto.data.formats_text import find_delimiter
from mmauto.errors import DataError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("delimiter", "text"),
    [
        (";", "id;text, with a comma;label\n1;hello, you;a\n2;good, bad;b\n"),
        (";", "a;b\n1,5;2,5\n3,5;4,5\n"),
        (";", 'a;"b, c"\n1;"x, y"\n'),
        (",", 'a,"b; c"\n1,"x; y"\n'),
        ("|", "a|b|c\n1|x, y; z|3\n2|v, w; z|4\n"),
        ("\t", "a\tb, c; d\n1\tx, y; z\n"),
        (",", "id,labels\n1,a|b\n2,c|d\n"),
        (",", "id,text\n" + "".join(f'{row},"one; two\nthree; four"\n' for row in range(50))),
        (",", 'id,text\n1,"say ""hi; there"""\n2,"a 5"" pipe"\n'),
        (",", "text\nhello\n"),
        (",", "id,text\n" + "1," + "x;" * 100_000),
    ],
)
def test_the_delimiter_cuts_all_records_like_the_header(delimiter: str, text: str) -> None:
    assert find_delimiter(text) == delimiter


def test_one_ragged_row_does_not_hide_the_delimiter() -> None:
    rows = "".join(f"{row};3,50;x\n" for row in range(99))
    assert find_delimiter("id;price, EUR;name\n" + rows + "99;3,50\n") == ";"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_unicode_files_are_read_without_a_note(tmp_path: Path, encoding: str) -> None:
    text = "id,text\n1,Größe ≤ 3 日本\n"
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    table = open_table(write(tmp_path / "t.csv", mark + text.encode(encoding)))
    assert table.values == {"id": ["1"], "text": ["Größe ≤ 3 日本"]}
    assert table.notes == ()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Une crêpe à la crème près du château, l'été dernier"),
        ("cp1252", "Die Straße ist für Fußgänger geöffnet"),
        ("cp1252", "It’s “fine” – really"),
        ("cp1250", "Zażółć gęślą jaźń, źródło światła było słabe"),
        ("cp1251", "Это очень хороший фильм, мне понравилось"),
        ("cp932", "これは日本語のテキストです。とても良い映画でした"),
        ("gb18030", "这是一个非常好的电影,质量很差"),
    ],
)
def test_other_encodings_are_guessed_with_a_note(tmp_path: Path, encoding: str, text: str) -> None:
    plain = "".join(f"{row};plain words\n" for row in range(500))
    content = f"id;text\n{plain}500;{text}\n".encode(encoding)
    table = open_table(write(tmp_path / "t.csv", content))
    assert table.values["text"][-1] == text
    assert table.notes == (
        f"t.csv is not UTF-8: it was read as {encoding}, which is a guess, check the accents in "
        "its texts",
    )


def test_bytes_that_no_code_page_has_are_read_as_latin_1(tmp_path: Path) -> None:
    every = bytes(range(0x80, 0x100))
    table = open_table(write(tmp_path / "t.csv", b"id;text\n1;" + every + b"\n"))
    assert table.values["text"] == [every.decode("latin-1")]
    assert "it was read as latin-1" in table.notes[0]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_few_nul_bytes_are_removed_and_counted(tmp_path: Path, name: str) -> None:
    text = "a,b\nx\0y,2\n" + "z,3\n" * 1000
    if name == "t.jsonl":
        text = '{"a": "x\0y"}\n' + '{"a": "z"}\n' * 1000
    table = open_table(write(tmp_path / name, text))
    assert table.cells("a")[:2] == ["xy", "z"]
    assert table.notes == (f"NUL bytes removed: 1 from {name}",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b\n" + b"1,2\n" * 200 + b"\0", "it holds binary data where UTF-8 text is expected"),
        (b"\xff\xfea", "it begins like UTF-16 and goes on as something else"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, why: str) -> None:
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(DataError) as caught:
        open_table(path)
    assert str(caught.value) == (
        f"{path} is not a readable table ({why}); repair the file or save it again"
    )


def test_base64_images_in_json_lines_stay_as_they_are(tmp_path: Path) -> None:
    image = "data:image/png;base64," + "iVBORw0KGgo" * 50
    table = open_table(write(tmp_path / "t.jsonl", f'{{"image": "{image}"}}\n'))
    assert table.values == {"image": [image]}
