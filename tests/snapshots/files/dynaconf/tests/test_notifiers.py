# From laterctl: factory.
"""Each notifier is found by its name."""

import pytest

from order_service.api.notifiers import NOTIFIERS, UnknownNotifierError, get_notifier


@pytest.mark.parametrize('name', [item.name for item in NOTIFIERS])
def test_each_is_given_by_its_name(name: str) -> None:
    gives = {item.name: item.give for item in NOTIFIERS}

    assert type(get_notifier(name)) is type(gives[name]())


def test_names_are_told_apart() -> None:
    assert len({item.name for item in NOTIFIERS}) == len(NOTIFIERS)


def test_an_unknown_name_is_told_those_that_there_are() -> None:
    with pytest.raises(UnknownNotifierError) as raised:
        get_notifier('no such name')

    assert raised.value.status_code == 400
    assert all(item.name in raised.value.detail for item in NOTIFIERS)
