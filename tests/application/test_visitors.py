"""Whose file is whose, and when it goes."""

import pytest

from ssmde.application.visitors import IDLE_SECONDS, KEPT_UPLOADS, Visitors


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visitors(tmp_path, clock) -> Visitors:
    return Visitors(tmp_path / "all", clock)


def upload(visitors, name="a.jpg", content="x"):
    path = visitors.root / f"hash of {content}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_result_belongs_to_its_visitor_alone(visitors):
    result = visitors.session("ann", "1").new_result() / "depth.png"
    result.write_text("d")
    visitors.session("bob", "1")
    assert visitors.owns("ann", result)
    assert not visitors.owns("bob", result)
    assert not visitors.owns("nobody", result)


def test_a_path_that_climbs_out_of_the_folder_is_not_owned(visitors):
    ann, bob = visitors.session("ann", "1"), visitors.session("bob", "1")
    other = bob.new_result() / "depth.png"
    other.write_text("d")
    assert not visitors.owns("ann", ann.folder / ".." / ".." / other.relative_to(visitors.root))
    assert not visitors.owns("ann", visitors.root / "of_gradio.txt")


def test_a_link_to_another_visitors_file_is_not_owned(visitors):
    other = visitors.session("bob", "1").new_result() / "depth.png"
    other.write_text("d")
    link = visitors.session("ann", "1").new_result() / "link.png"
    link.symlink_to(other)
    assert not visitors.owns("ann", link)


def test_names_of_folders_tell_neither_the_secret_nor_each_other(visitors):
    folder = visitors.session("secret-of-ann", "page-1").folder
    assert "secret-of-ann" not in str(folder)
    assert "page-1" not in str(folder)


def test_an_upload_is_owned_by_everybody_who_sent_it_and_goes_with_the_last(visitors):
    path = upload(visitors)
    for key in ("ann", "bob"):
        visitors.session(key, "1")
        visitors.add_upload(key, path)
    assert visitors.owns("ann", path)
    visitors.leave("ann", "1")
    assert path.exists()
    assert not visitors.owns("ann", path)
    visitors.leave("bob", "1")
    assert not path.parent.exists()


def test_a_page_that_closes_takes_its_files_and_stops_its_work(visitors):
    first, second = visitors.session("ann", "1"), visitors.session("ann", "2")
    path = upload(visitors)
    visitors.add_upload("ann", path)
    visitors.leave("ann", "1")
    assert first.stopped
    assert not first.folder.exists()
    assert second.folder.exists()
    assert path.exists()
    visitors.leave("ann", "2")
    assert not path.exists()
    assert list(visitors.root.iterdir()) == []


def test_older_uploads_of_a_visitor_make_room(visitors):
    paths = [upload(visitors, content=str(i)) for i in range(KEPT_UPLOADS + 2)]
    for path in paths:
        visitors.add_upload("ann", path)
    assert [path.exists() for path in paths] == [False, False] + [True] * KEPT_UPLOADS


def test_of_a_page_only_the_last_two_results_are_kept(visitors):
    session = visitors.session("ann", "1")
    results = [session.new_result() for _ in range(4)]
    assert [result.exists() for result in results] == [False, False, True, True]


def test_who_gives_no_sign_for_an_hour_is_forgotten_unless_work_goes_on(visitors, clock):
    idle, busy = visitors.session("ann", "1"), visitors.session("bob", "1")
    busy.busy = True
    clock.now = IDLE_SECONDS + 1
    visitors.session("eve", "1")
    assert idle.stopped
    assert not idle.folder.exists()
    assert busy.folder.exists()
    busy.busy = False
    visitors.session("eve", "2")
    assert not busy.folder.exists()


def test_the_end_of_the_server_stops_everybody_and_removes_all(visitors):
    session = visitors.session("ann", "1")
    visitors.add_upload("bob", upload(visitors))
    visitors.close()
    assert session.stopped
    assert list(visitors.root.iterdir()) == []
