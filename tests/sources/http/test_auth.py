"""Where key and address come from, and that the key is never shown."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

from tracebacks import everything_about
from wandb_toolkit.errors import AuthError, UsageError
from wandb_toolkit.sources.http import auth
from wandb_toolkit.sources.http.auth import Credentials, Secret, SecretText, find_credentials, origin
from wandb_toolkit.sources.http.cache import cache_folder
from wandb_toolkit.sources.local.artifacts import staging_folder

KEY = "0123456789abcdef0123456789abcdef01234567"
LONG_KEY = "wandb_v1_" + "aB3_" * 20
OTHER = "f" * 40


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def revealed(creds: Credentials) -> str | None:
    return creds.key.reveal() if creds.key else None


def test_without_anything_the_public_cloud_is_asked_without_a_key() -> None:
    creds = find_credentials()
    assert (creds.base_url, creds.app_url, creds.host) == ("https://api.wandb.ai", "https://wandb.ai", "api.wandb.ai")
    assert not creds.has_key
    assert creds.authorization() is None


@pytest.mark.parametrize("key", [KEY, LONG_KEY, f"local-{KEY}", "eyJhbGci.eyJzdWI.c2ln-_"])
def test_keys_of_every_kind(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    creds = find_credentials()
    assert revealed(creds) == key
    assert creds.key_from == "WANDB_API_KEY"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("   ", "blank"),
        (KEY + "\n", "line break at its start or end"),
        (KEY[:20] + " " + KEY[20:], "inside"),
        (f'"{KEY}"', "quotation marks"),
        (KEY[:39], "39 characters where a key has 40"),
        (KEY[:-1] + "é", "characters other than"),
        ("$WANDB_API_KEY" + KEY, "characters other than"),
        (f"local-{KEY[:30]}", "30 characters"),
    ],
)
def test_a_key_of_the_wrong_shape_is_named_but_not_shown(
    key: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(AuthError) as caught:
        find_credentials()
    assert problem in caught.value.message
    assert "WANDB_API_KEY" in caught.value.message
    assert not key.strip() or key.strip() not in everything_about(caught.value)


def test_the_shape_rule_is_the_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = pytest.importorskip("wandb.sdk.lib.wbauth")
    for key in (KEY, LONG_KEY, f"local-{KEY}", f"a-b-{KEY}", "a.b.c", "-" + KEY, KEY[:39], f"x-{KEY[:30]}", KEY + "!"):
        assert bool(auth.key_problem(key)) == bool(sdk.check_api_key(key)), key


def test_an_empty_variable_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "")
    assert not find_credentials().has_key


# ---- netrc ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".netrc", "_netrc", "elsewhere"])
def test_netrc_of_the_right_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        Path("~").expanduser() / name,
        f"machine other.example\n  login user\n  password {OTHER}\n"
        f"machine api.wandb.ai\n  login user\n  password {KEY}\n",
    )
    if name == "elsewhere":
        monkeypatch.setenv("NETRC", str(path))
    creds = find_credentials()
    assert revealed(creds) == KEY
    assert creds.key_from == str(path)


@pytest.mark.parametrize("entry", ["machine other.example login user", "default login user"])
def test_an_entry_of_another_host_or_of_all_hosts_is_not_used(entry: str) -> None:
    write(Path("~/.netrc").expanduser(), f"{entry} password {KEY}\n")
    assert not find_credentials().has_key


def test_a_host_with_a_port_has_its_own_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("~/.netrc").expanduser(), f"machine wb.example:8080 login user password {KEY}\n")
    monkeypatch.setenv("WANDB_BASE_URL", "http://wb.example:8080/")
    assert revealed(find_credentials()) == KEY
    monkeypatch.setenv("WANDB_BASE_URL", "http://wb.example")
    assert not find_credentials().has_key


@pytest.mark.parametrize("text", [f"machine api.wandb.ai password\n{KEY} oops", "nonsense", "machine", "\x00"])
def test_a_broken_netrc_is_noted_and_says_nothing_of_its_content(text: str) -> None:
    write(Path("~/.netrc").expanduser(), text)
    creds = find_credentials()
    assert not creds.has_key
    assert "was not used" in creds.note
    assert KEY not in creds.note
    assert "nonsense" not in creds.note


def test_a_netrc_that_is_a_folder_or_no_text() -> None:
    Path("~/.netrc").expanduser().mkdir()
    assert "was not used" in find_credentials().note
    Path("~/.netrc").expanduser().rmdir()
    Path("~/.netrc").expanduser().write_bytes(b"\xff\xfe\x00")
    assert "was not used" in find_credentials().note


def test_a_key_of_the_wrong_shape_in_netrc_names_the_file() -> None:
    path = write(Path("~/.netrc").expanduser(), "machine api.wandb.ai login user password tooshort\n")
    with pytest.raises(AuthError, match="8 characters") as caught:
        find_credentials()
    assert str(path) in caught.value.message
    assert "tooshort" not in everything_about(caught.value)


def test_both_names_of_the_cloud_share_their_login() -> None:
    write(Path("~/.netrc").expanduser(), f"machine api.forge.coreweave.com login user password {KEY}\n")
    assert revealed(find_credentials()) == KEY
    assert find_credentials("https://forge.coreweave.com").app_url == "https://wandb.ai"  # the configured one


# ---- the address ----------------------------------------------------------------------------------------------------


def test_settings_files_in_the_sdks_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("~/.config/wandb/settings").expanduser()
    write(home, "[default]\nbase_url = https://home.example/\nentity = team\nproject = 100%\n")
    assert find_credentials().base_url == "https://home.example"
    assert (auth.default_entity(), auth.default_project()) == ("team", "100%")
    write(tmp_path / "config" / "settings", "[default]\nbase_url = https://config.example\n")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    assert find_credentials().base_url == "https://config.example"
    assert auth.default_entity() is None
    here = write(tmp_path / "wandb" / "settings", "[default]\nbase_url = https://here.example\nentity = mine\n")
    creds = find_credentials()
    assert (creds.base_url, creds.base_url_from) == ("https://here.example", str(here.relative_to(tmp_path)))
    monkeypatch.setenv("WANDB_BASE_URL", "https://env.example")
    assert find_credentials().base_url == "https://env.example"
    assert auth.default_entity() == "mine"
    monkeypatch.setenv("WANDB_ENTITY", "me")
    assert auth.default_entity() == "me"


@pytest.mark.parametrize("text", ["base_url = x", "[default", "[other]\nbase_url = https://x.example", "\x00[]"])
def test_a_broken_settings_file_says_nothing(text: str) -> None:
    write(Path("wandb/settings"), text)
    assert find_credentials().base_url == auth.DEFAULT_BASE_URL


def test_a_key_in_the_settings_is_the_last_resort() -> None:
    write(Path("wandb/settings"), f"[default]\napi_key = {KEY}\n")
    assert revealed(find_credentials()) == KEY
    assert revealed(find_credentials("https://wb.example")) is None
    write(Path("~/.netrc").expanduser(), f"machine api.wandb.ai login user password {OTHER}\n")
    assert revealed(find_credentials()) == OTHER


@pytest.mark.parametrize("url", ["wandb.example", "ftp://wb.example", "https://", "https://a b/", "http://[1"])
def test_an_address_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", url)
    with pytest.raises(UsageError, match="WANDB_BASE_URL"):
        find_credentials()


@pytest.mark.parametrize(
    ("named", "base_url"),
    [
        ("https://wandb.ai", "https://api.wandb.ai"),
        ("http://www.wandb.ai", "https://api.wandb.ai"),
        ("https://api.wandb.ai", "https://api.wandb.ai"),
        ("https://WB.example:8443", "https://wb.example:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("https://acme.wandb.io", "https://acme.wandb.io"),
    ],
)
def test_hosts_of_urls(named: str, base_url: str) -> None:
    assert find_credentials(named).base_url == base_url


@pytest.mark.parametrize(
    ("base_url", "app_url"),
    [
        ("https://api.wandb.ai", "https://wandb.ai"),
        ("https://api.forge.coreweave.com", "https://forge.coreweave.com/wandb"),
        ("https://api.acme.example", "https://app.acme.example"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_pages_of_a_server(base_url: str, app_url: str) -> None:
    assert auth.app_url_of(base_url) == app_url


def test_a_key_of_the_environment_is_for_the_configured_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    for stranger in ("https://evil.example", "https://api.wandb.ai.evil.example", "https://api.wandb.ai:444"):
        creds = find_credentials(stranger)
        assert not creds.has_key, stranger
        assert "not sent to another host" in creds.note
    monkeypatch.setenv("WANDB_BASE_URL", "https://api.acme.example")
    assert not find_credentials("https://wandb.ai").has_key
    assert revealed(find_credentials("https://app.acme.example")) == KEY  # its pages
    assert find_credentials("http://api.acme.example").base_url == "https://api.acme.example"  # the s forgotten
    write(Path("~/.netrc").expanduser(), f"machine api.wandb.ai login user password {OTHER}\n")
    assert revealed(find_credentials("https://wandb.ai")) == OTHER


# ---- identity tokens ------------------------------------------------------------------------------------------------


def test_key_and_identity_token_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "token.jwt")
    with pytest.raises(AuthError, match="both set"):
        find_credentials()


def test_an_identity_token_is_exchanged_and_sent_as_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "token.jwt")
    monkeypatch.setattr(auth, "access_token", lambda base_url, file: f"{file} at {base_url}")
    creds = find_credentials()
    assert creds.authorization() == "Bearer token.jwt at https://api.wandb.ai"
    assert creds.key_from == "WANDB_IDENTITY_TOKEN_FILE"


def test_an_identity_token_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "token.jwt")
    monkeypatch.setitem(__import__("sys").modules, "wandb.apis.public.service_api", None)
    with pytest.raises(AuthError, match="wandb package is not installed"):
        find_credentials()


# ---- never shown ----------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_nowhere() -> None:
    creds = Credentials("https://x", "https://x", Secret(KEY), "WANDB_API_KEY")
    texts = [repr(creds), str(creds), f"{creds.key}", f"{creds.key:>60}", "%s %r" % (creds.key, creds.key)]  # noqa: UP031
    texts += [
        str(dataclasses.asdict(creds)),
        repr(copy.deepcopy(creds)),
        repr(vars(creds)),
        repr(creds.authorization()),
    ]
    assert not [text for text in texts if KEY in text or "YXBpOj" in text]
    assert creds.authorization() == "Basic YXBpOjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc="
    assert repr(SecretText(KEY)) == "'***'"
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(creds)


def test_a_folders_own_settings_do_not_lead_the_users_key_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("wandb/settings"), "[default]\nbase_url = https://elsewhere.example\n")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    creds = find_credentials()
    assert creds.base_url == "https://elsewhere.example"
    assert not creds.has_key
    assert "WANDB_BASE_URL=https://elsewhere.example" in creds.note
    monkeypatch.setenv("WANDB_BASE_URL", "https://elsewhere.example")  # the user says that it is theirs
    assert find_credentials().has_key


@pytest.mark.parametrize(
    "url",
    [
        "http://evil\\@api.test/x",
        "https://evil\\@api.test/",
        "https://evil\t@api.test/",
        "https://evil\n.api.test/",
        "//x",
    ],
)
def test_an_address_that_parsers_read_differently_is_nobody_s(url: str) -> None:
    assert origin(url) == ("", "", None) or origin(url)[0] == ""


def test_the_host_is_the_one_that_is_connected_to() -> None:
    assert origin("https://User@API.test:8443/x") == ("https", "api.test", 8443)
    assert origin("http://[::1]:80/") == ("http", "::1", 80)


def test_a_key_from_netrc_goes_over_plain_http_only_where_the_user_s_settings_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine wandb.example login user password {'a' * 40}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert find_credentials("https://wandb.example").key is not None
    refused = find_credentials("http://wandb.example")
    assert refused.key is None
    assert "plain http" in refused.note
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.example")
    assert find_credentials(None).key is not None


def test_a_home_that_is_unknown_leaves_no_key_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~nobody` in a variable, and a user without a home: a name like any, and nothing there."""
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_TOOLKIT_CACHE"):
        monkeypatch.setenv(name, "~nobody-of-this-name/x")
    assert revealed(find_credentials()) is None
    assert cache_folder() == Path("~nobody-of-this-name/x")
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_TOOLKIT_CACHE", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # a container's user without an entry
    assert revealed(find_credentials()) is None
    assert cache_folder() is None
    assert not staging_folder().exists()
