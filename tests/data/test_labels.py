"""Classes of photographs by names, folders and tables, and of outputs by files of names."""

import json
import os
from pathlib import Path

import pytest

from convscope.data.labels import ACCEPTED, Labels, classes, numbered, of, read
from convscope.data.wordnet import taxonomy

ROOT = Path("/photos")
CHEETAH, TENCH = "n02130308", "n01440764"
NAMES = ("tench", "great white shark", "café")


def below(*names: str) -> list[Path]:
    """Paths below the root; no file is opened."""
    return [ROOT / name for name in names]


def test_the_names_of_ilsvrcs_files_tell_the_class():
    found = of(below("n02130308_cheetah.JPEG", "n01440764_10026.JPEG", "x.JPEG", "n2_a.jpg"), ROOT)
    assert found == Labels(
        (CHEETAH, TENCH, None, None), {CHEETAH: "cheetah", TENCH: "tench"}, "file names"
    )
    assert of([Path("/a/n02130308_cheetah.JPEG")], None).keys == (CHEETAH,)


def test_unknown_synsets_are_called_what_their_files_say():
    names = ("n99999999_10.jpg", "n99999999_two_words.jpg", "n88888888_7.jpg", "n77777777.jpg")
    assert of(below(*names), ROOT).names == {
        "n99999999": "two words", "n88888888": "n88888888", "n77777777": "n77777777",
    }  # fmt: skip


def test_the_nearest_folder_named_after_a_synset_tells_the_class():
    paths = below(f"n00000001/{CHEETAH}/a/1.jpg", f"train/{TENCH}_tench/2.jpg", "3.jpg")
    found = of(paths, ROOT)
    assert found.keys == (CHEETAH, TENCH, None) and found.source == "folders"
    inside = Path(f"/data/{CHEETAH}")
    assert of([inside / "1.jpg", inside / "b" / "2.jpg"], inside).keys == (CHEETAH, CHEETAH)
    assert of([inside / "b" / "1.jpg"], inside / "b").source == "none"


def test_plain_folders_are_classes_where_there_are_several():
    found = of(below("cat/1.jpg", "cat/deep/2.jpg", "my dog/3.jpg", "4.jpg"), ROOT)
    assert found == Labels(
        ("cat", "cat", "my dog", None), {"cat": "cat", "my dog": "my dog"}, "folders"
    )
    one = of(below("cat/1.jpg", "cat/2.jpg", "3.jpg"), ROOT)
    assert one == Labels((None, None, None), {}, "none")
    assert of([Path("/a/cat/1.jpg"), Path("/a/dog/2.jpg")], None).source == "none"


def test_a_folder_whose_name_is_no_text_has_a_name_that_is():
    found = of(below("caf\udce9/1.jpg", "tea\ntime/2.jpg"), ROOT)
    assert found.keys == ("caf\\xe9", "tea\ntime")
    assert found.names == {"caf\\xe9": "caf\\xe9", "tea\ntime": "tea time"}


def test_one_source_is_taken_for_the_whole_set():
    # File names come first, though folders say something else.
    names = [f"{TENCH}/{CHEETAH}_{index}.jpg" for index in range(3)]
    assert set(of(below(*names), ROOT).keys) == {CHEETAH}
    # One name in three is not enough where the folders name all.
    mixed = below(f"cat/{CHEETAH}_1.jpg", "cat/2.jpg", "dog/3.jpg")
    assert of(mixed, ROOT).keys == ("cat", "cat", "dog")
    # It is, where nothing else names any.
    lonely = below(f"{CHEETAH}_1.jpg", "2.jpg", "3.jpg")
    assert of(lonely, ROOT) == Labels((CHEETAH, None, None), {CHEETAH: "cheetah"}, "file names")
    assert of([], ROOT).keys == ()


@pytest.mark.parametrize("root", [".", "/", "a/b", "a/b/"])
def test_any_root_is_understood(root):
    home = Path(root)
    found = of([home / "cat" / "1.jpg", home / "dog" / "2.jpg"], home)
    assert found.keys == ("cat", "dog")


def test_a_table_counts_before_names_and_folders_and_may_hold_plain_classes(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\nn02130308_1.jpg,a cat\nmissing.jpg,dog\n")
    found = of(below("n02130308_1.jpg", "n02130308_2.jpg"), ROOT, table)
    assert found.keys == ("a cat", None) and found.names == {"a cat": "a cat"}


def test_a_table_names_photographs_below_the_root_and_its_synsets_are_called_by_wordnet(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("image,wnid\na.jpg,n02130308\nsub/b.jpg,n01440764\nb.jpg,n02084071\n")
    found = of(below("a.jpg", "sub/b.jpg", "c.jpg"), ROOT, table)
    assert found == Labels((CHEETAH, TENCH, None), {CHEETAH: "cheetah", TENCH: "tench"}, str(table))
    with pytest.raises(ValueError, match=r"labels\.csv names none of the 1 photographs\. Its rows"):
        of(below("c.jpg"), ROOT, table)


def inside(*names: str) -> list[list[str]]:
    """Return the parts of paths below the root; no file is opened."""
    return [name.split("/") for name in names]


def table_file(tmp_path: Path, text: str) -> Path:
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
    table = table_file(tmp_path, text)
    found = classes(table, inside("a.jpg", "sub/b.jpg", "c.jpg"))
    assert found == (CHEETAH, TENCH, None)


def test_a_path_decides_before_a_name_and_a_row_is_used_once(tmp_path):
    table = table_file(tmp_path, "file,label\na/1.jpg,cat\n1.jpg,dog\nb/2.jpg,cow\n")
    assert classes(table, inside("a/1.jpg", "b/1.jpg", "c/1.png")) == ("cat", "dog", None)
    assert classes(table, inside("c/2.jpg")) == ("cow",)
    table = table_file(tmp_path, "file,label\nb/2.jpg,cow\n")
    assert classes(table, inside("b/2.jpg", "c/2.jpg")) == ("cow", None)


def test_names_that_are_no_text_are_matched_too(tmp_path):
    table = table_file(tmp_path, "file,label\ncaf\udce9.jpg,tea\udce9\n")
    assert classes(table, inside("caf\udce9.jpg")) == ("tea\\xe9",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"is empty. {ACCEPTED['images.labels']}."),
        ("a,b\n1,2\n", f"has no column for the file, only 'a, b'. {ACCEPTED['images.labels']}."),
        (
            "image,sort\n1,2\n",
            f"has no column for the class, only 'image, sort'. {ACCEPTED['images.labels']}.",
        ),
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
    table = table_file(tmp_path, text)
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
    table = table_file(tmp_path, "file,label\na.jpg,cat\na.jpg,cat\nx/a.jpg,cat\n")
    assert classes(table, inside("a.jpg")) == ("cat",)


def names_file(tmp_path: Path, text: str, suffix: str = ".txt") -> Path:
    """A file of names with this content."""
    path = tmp_path / f"names{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".txt", "tench\n great white shark\r\ncafé\n\n"),
        ("", "\ufefftench\ngreat white shark\ncafé"),
        (".json", json.dumps(NAMES)),
        (".json", '{"1": "great white shark", "0": "tench", "2": "café"}'),
        (".json", '{"0": ["tench", "x"], "1": ["great white shark", "x"], "2": ["café", "y"]}'),
        (".csv", "index,name\n2,café\n0,tench\n1,great white shark\n"),
        (".CSV", 'Name;more;Index\n"tench";a;0\ncafé;b;2\n\ngreat white shark;c;1\n'),
    ],
)
def test_every_form_of_a_file_gives_the_names_in_the_order_of_the_logits(tmp_path, suffix, text):
    assert read(names_file(tmp_path, text, suffix)) == NAMES


def test_imagenet_is_a_word_for_its_thousand_synsets(tmp_path):
    assert read("imagenet") == taxonomy().classes
    index = {str(place): [wnid, "a word"] for place, wnid in enumerate(taxonomy().classes)}
    assert read(names_file(tmp_path, json.dumps(index), ".json")) == taxonomy().classes


def test_classes_that_nobody_named_are_numbered():
    assert numbered(3) == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("suffix", "text", "problem"),
    [
        (".txt", " \n\n", "is empty"),
        (".txt", "a\nb\na\n", "calls both class 0 and class 2 'a'"),
        (".txt", "a\n\nb\n", "has no name for class 1"),
        (".txt", "caf\udce9\n", "is not UTF-8: byte 3 cannot be read"),
        (".json", "{", "is no JSON: Expecting property name"),
        (".json", "[" * 100_000, "is no JSON: "),
        (".json", "7", "holds '7', no list and no object"),
        (".json", "[]", "holds no names"),
        (".json", '["a", 7]', "holds '7' where a name should be"),
        (".json", '{"0": ["a", "b", "c"]}', "holds \"['a', 'b', 'c']\" where a name should be"),
        (".json", '{"0": "a", "2": "b"}', "has no class 1, but 2; classes count from 0"),
        (".json", '{"cat": "0"}', "has the number 'cat'; classes count from 0"),
        (".json", '{"0": "a", "00": "b"}', "has class 0 twice"),
        (".csv", "name,number\na,0\n", "has no column index, only 'name, number'"),
        (".csv", "index,name\n0\n", "has the row '0', which is too short"),
        (".csv", "index,name\n-1,a\n", "has the number '-1'; classes count from 0"),
        (".csv", "index,name\n", "holds no names"),
        (".csv", 'index,name\n0,"a\n', "is no CSV: unexpected end of data"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, suffix, text, problem):
    path = names_file(tmp_path, text, suffix)
    with pytest.raises(ValueError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"model.labels={path} {problem}")
    assert message.endswith(f". {ACCEPTED['model.labels']}.") and "\n" not in message


def test_a_missing_file_and_a_folder_say_why(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.txt cannot be read: no such file"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="cannot be read: is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_what_is_no_regular_file_is_refused_without_being_read(tmp_path, kind):
    path = tmp_path / "labels.csv"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/zero") if kind == "device" else path
    if kind == "link":
        path.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=r"^images\.labels=.* is no regular file\. The first row"):
        of([Path("a.png")], None, path)
    with pytest.raises(ValueError, match=r"^model\.labels=.* is no regular file\. It is imagenet,"):
        read(path)


def test_a_table_that_fills_the_memory_is_refused(tmp_path):
    path = tmp_path / "labels.csv"
    with path.open("wb") as file:
        file.truncate(2**29 + 1)  # holes alone
    with pytest.raises(ValueError, match=r"is too large: 536,870,913 bytes\."):
        read(path)
