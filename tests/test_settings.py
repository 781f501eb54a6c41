"""The settings: one environment variable each."""

import pytest

from students_api.settings import Settings, StartUpError


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGODB_URL", "MONGODB_DATABASE", "STUDENTS_API_DATA_DIR", "STUDENTS_API_POOL_SIZE"):
        monkeypatch.setenv(name, "")
    settings = Settings.read()
    assert (settings.mongodb_url, settings.mongodb_database, settings.pool_size) == (None, "college", 32)


def test_a_setting_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA_DIR", "POOL_SIZE", "STUDENTS_API_MONGODB_URL", "STUDENTS_API_MONGODB_DATABASE"):
        monkeypatch.setenv(name, "9")
    settings = Settings.read()
    assert (settings.mongodb_url, settings.mongodb_database, settings.pool_size) == (None, "college", 32)
    assert Settings.unknown_variables() == ["STUDENTS_API_MONGODB_DATABASE", "STUDENTS_API_MONGODB_URL"]


def test_a_variable_in_lower_case_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("students_api_pool_size", "7")
    assert Settings.read().pool_size == 7
    assert Settings.unknown_variables() == []


def test_an_error_names_the_variable_and_does_not_repeat_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDENTS_API_POOL_SIZE", "SECRET")
    monkeypatch.setenv("MONGODB_DATABASE", "SECRET.SECRET")
    with pytest.raises(StartUpError) as error:
        Settings.read()
    assert "STUDENTS_API_POOL_SIZE: " in str(error.value)
    assert "MONGODB_DATABASE: " in str(error.value)
    assert "SECRET" not in str(error.value)
    assert "SECRET" not in str(error.value.__cause__)  # which a stack trace would show
