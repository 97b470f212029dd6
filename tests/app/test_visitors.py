"""Whose file is whose, and when it goes."""

import threading

import pytest

from ssmde.app.guard import (
    IDLE_SECONDS,
    KEPT_UPLOADS,
    MOST_PAGES,
    RefusalError,
    Visitors,
)


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


def test_a_result_belongs_to_its_visitor_alone_by_whatever_way(visitors):
    ann, bob = visitors.session("secret-of-ann", "page-1"), visitors.session("bob", "1")
    for word in ("secret-of-ann", "page-1"):
        assert word not in str(ann.folder)
    mine, other = (session.new_result() / "depth.png" for session in (ann, bob))
    for path in (mine, other):
        path.write_text("d")
    link = mine.with_name("link.png")
    link.symlink_to(other)
    climbing = ann.folder / ".." / ".." / other.relative_to(visitors.root)
    assert visitors.owns("secret-of-ann", mine)
    for path in (other, link, climbing, visitors.root / "of_gradio.txt"):
        assert not visitors.owns("secret-of-ann", path)
    assert not visitors.owns("nobody", mine)


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


def test_of_those_who_never_come_back_only_the_newest_files_stay(visitors):
    ann = upload(visitors, content="of ann")
    visitors.add_upload("ann", ann)  # her browser sent the secret
    paths = [upload(visitors, content=str(i)) for i in range(KEPT_UPLOADS + 20)]
    for i, path in enumerate(paths):
        visitors.add_upload(f"stranger {i}", path, known=False)
    assert [path.exists() for path in paths] == [False] * 20 + [True] * KEPT_UPLOADS
    assert ann.exists()


def test_a_visitor_has_one_work_of_a_kind_at_a_time(tmp_path, clock):
    visitors = Visitors(tmp_path / "all", clock, patience=0.01)
    with visitors.working("ann", "film"):
        with pytest.raises(RefusalError, match="One at a time"), visitors.working("ann", "film"):
            pass
        with visitors.working("ann", "picture"), visitors.working("bob", "film"):
            pass
    with visitors.working("ann", "film"):
        pass


def test_the_next_work_waits_for_the_one_before_and_a_third_is_refused(visitors):
    order, begun = [], threading.Event()

    def work(name):
        with visitors.working("ann", "picture"):
            order.append(name)

    with visitors.working("ann", "picture"):
        second = threading.Thread(target=work, args=("second",))
        second.start()
        while not visitors._known["ann"].waiting:
            begun.wait(0.01)
        with pytest.raises(RefusalError, match="One at a time"):
            work("third")
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def test_of_many_pages_of_one_visitor_the_oldest_go(visitors):
    sessions = [visitors.session("ann", str(i)) for i in range(MOST_PAGES + 3)]
    assert [s.folder.exists() for s in sessions] == [False] * 3 + [True] * MOST_PAGES
    assert sessions[0].stopped


def test_room_is_made_by_who_did_nothing_for_longest_and_does_not_work(tmp_path, clock):
    visitors = Visitors(tmp_path / "all", clock)
    paths = []
    for i, key in enumerate(("ann", "bob", "eve")):
        clock.now = float(i)
        visitors.session(key, "1")
        paths.append(upload(visitors, content=key))
        paths[-1].write_text(1000 * key)
        visitors.add_upload(key, paths[-1])
    with visitors.working("ann", "film"):
        clock.now = 3.0
        used = sum(p.stat().st_size for p in visitors.root.rglob("*"))
        visitors._room = used + 100
        assert visitors.make_room(1000, "eve")
        assert [path.exists() for path in paths] == [True, False, True]
        assert not visitors.make_room(10**9, "eve")


def test_parts_of_uploads_that_broke_off_go(visitors):
    visitors.root.mkdir(parents=True)
    (visitors.root / "tmp123").write_text("part")
    visitors.remove_parts(all=False)
    assert (visitors.root / "tmp123").exists()  # somebody may still add to it
    visitors.remove_parts(all=True)
    assert not (visitors.root / "tmp123").exists()
