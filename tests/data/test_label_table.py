"""Tables of labels: their columns, whose row is whose, and what makes one useless."""

from pathlib import Path

import pytest

from convscope.data.labels import ACCEPTED, classes

CHEETAH, TENCH = "n02130308", "n01440764"


def inside(*names: str) -> list[list[str]]:
    """Return the parts of paths below the root; no file is opened."""
    return [name.split("/") for name in names]


def written(tmp_path: Path, text: str) -> Path:
    """A table with this content."""
    (tmp_path / "labels.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    return tmp_path / "labels.csv"


@pytest.mark.parametrize(
    "text",
    [
        "image,wnid\na.jpg,n02130308\nsub/b.jpg,n01440764\n",
        "ImageId,PredictionString\na,n02130308 1 2 3 4 n01440764 5 6 7 8\nb,n01440764 9 9 9 9\n",
        "\ufeffFILE;Synset;more\n./a.jpg;n02130308;x\nb.jpg;n01440764;y\n",
        "label\tfilename\nn02130308 cheetah\ta.jpg\nn01440764\tb.jpg\n",
        'name,class\r\n"a.jpg","n02130308"\r\n"other/b.jpg",n01440764\r\nshort\r\n,\r\n',
        "id,path,label,wnid\n1,a.jpg,x,n02130308\n2,sub\\b.jpg,y,n01440764\n",
    ],
)
def test_a_table_is_matched_by_path_name_or_stem(tmp_path, text):
    table = written(tmp_path, text)
    found = classes(table, inside("a.jpg", "sub/b.jpg", "c.jpg"))
    assert found == (CHEETAH, TENCH, None)


def test_a_path_decides_before_a_name_and_a_row_is_used_once(tmp_path):
    table = written(tmp_path, "file,label\na/1.jpg,cat\n1.jpg,dog\nb/2.jpg,cow\n")
    assert classes(table, inside("a/1.jpg", "b/1.jpg", "c/1.png")) == ("cat", "dog", None)
    assert classes(table, inside("c/2.jpg")) == ("cow",)
    table = written(tmp_path, "file,label\nb/2.jpg,cow\n")
    assert classes(table, inside("b/2.jpg", "c/2.jpg")) == ("cow", None)


def test_names_that_are_no_text_are_matched_too(tmp_path):
    table = written(tmp_path, "file,label\ncaf\udce9.jpg,tea\udce9\n")
    assert classes(table, inside("caf\udce9.jpg")) == ("tea\\xe9",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"is empty. {ACCEPTED}."),
        ("a,b\n1,2\n", f"has no column for the file, only 'a, b'. {ACCEPTED}."),
        ("image,sort\n1,2\n", f"has no column for the class, only 'image, sort'. {ACCEPTED}."),
        (
            "file,label\na.jpg,cat\na.jpg,dog\n",
            "gives two classes to 'a.jpg'. Give each photograph one row, with its path below"
            " images.root.",
        ),
        (
            "file,label\nb.jpg,cat\n",
            "has one row for several 'b.jpg'. Give each photograph one row, with its path below"
            " images.root.",
        ),
        (
            "file,label\nz.jpg,cat\n",
            "names none of the 3 photographs. Its rows give the path below images.root, the file's"
            " name, or its name without the ending.",
        ),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, text, problem):
    table = written(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        classes(table, inside("a.jpg", "sub/b.jpg", "other/b.jpg"))
    assert str(caught.value) == f"images.labels={table} {problem}"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "cannot be read: no such file or directory. The first row names"),
        (lambda path: path.mkdir(), "cannot be read: is a directory. The first row names"),
        (lambda path: path.write_text('a,"b\n'), "is no CSV: unexpected end of data. The first"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path, make, problem):
    make(tmp_path / "labels.csv")
    with pytest.raises(ValueError) as caught:
        classes(tmp_path / "labels.csv", inside("a.jpg"))
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_rows_that_agree_are_no_contradiction(tmp_path):
    table = written(tmp_path, "file,label\na.jpg,cat\na.jpg,cat\nx/a.jpg,cat\n")
    assert classes(table, inside("a.jpg")) == ("cat",)
