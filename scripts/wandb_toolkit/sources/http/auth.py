"""Where the API key and the address of the W&B server come from. The key is never shown.

The order is the SDK's. Address: the host of a URL that the user named, WANDB_BASE_URL, ``./wandb/settings``,
``$WANDB_CONFIG_DIR/settings`` (``~/.config/wandb/settings``), the public cloud. Key: WANDB_API_KEY or an identity
token, netrc, the settings files. A key that names no host belongs to the configured address: a URL of another host,
which anyone may have written, gets only what netrc holds for that host; so does an address that only the folder's own
``./wandb/settings`` names (there we are stricter than the SDK).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from wandb_toolkit.errors import AuthError, UsageError
from wandb_toolkit.resolve import expanded, home
from wandb_toolkit.sources.wandb_package import LOG_IN, access_token

DEFAULT_BASE_URL = "https://api.wandb.ai"

# One deployment under two names. From 0.31 on the SDK's default is the second; keys are valid at both.
_CLOUD = {"api.wandb.ai": "https://wandb.ai", "api.forge.coreweave.com": "https://forge.coreweave.com/wandb"}
_CLOUD_ALIASES = {
    "wandb.ai": "api.wandb.ai",
    "www.wandb.ai": "api.wandb.ai",
    "app.wandb.ai": "api.wandb.ai",
    "forge.coreweave.com": "api.forge.coreweave.com",
}
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_MIN_KEY = 40  # characters after the prefix that self-hosted servers put before a dash


_HIDDEN_FROM = 8  # characters; shorter ones are in many words
_known: set[str] = set()  # the keys of this process, as they are and as a header has them


def hidden(text: str) -> str:
    """Return a text that somebody else wrote without the keys that this process has: a server may echo a header."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


class Secret:
    """A text that only `reveal` gives out: not repr, str, format, copy's repr, or pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) >= _HIDDEN_FROM:
            _known.add(text)
            _known.update(base64.b64encode(word.encode()).decode() for word in (text, f"api:{text}"))

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


class SecretText(str):
    """A key on its way to where it is used: a string like others, but masked where a traceback shows locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True)
class Credentials:
    """Where to ask, and as whom."""

    base_url: str  # of the API, without a trailing slash
    app_url: str  # of the pages that people look at
    key: Secret | None = None  # None: only what is public can be read
    key_from: str = ""  # "WANDB_API_KEY", the path of a netrc file, ...; "" without a key
    base_url_from: str = "the default"
    bearer: bool = False  # the key is an access token
    note: str = ""  # why a key that exists is not used

    @property
    def has_key(self) -> bool:
        """Whether requests are made in someone's name."""
        return self.key is not None

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.base_url).netloc

    def authorization(self) -> SecretText | None:
        """Return the value of the Authorization header, None without a key."""
        if self.key is None:
            return None
        if self.bearer:
            return SecretText("Bearer " + self.key.reveal())
        return SecretText("Basic " + base64.b64encode(b"api:" + self.key.reveal().encode()).decode())


def find_credentials(base_url: str | None = None) -> Credentials:
    """Return the server's address and the key for it. `base_url` is the host of a URL that the user named.

    Raises:
        AuthError: there is a key and it cannot be one, or the identity token could not be exchanged.
        UsageError: the configured address is none.
    """
    files = _settings()
    configured, configured_from = _configured_base_url(files)
    app_url = os.environ.get("WANDB_APP_URL") or app_url_of(configured)
    if base_url is None or origin(base_url) == origin(app_url) or _same_server(_api_url(base_url), configured):
        return _with_key(configured, configured_from, app_url.rstrip("/"), files)
    url = _api_url(base_url)
    note = ""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        name = "WANDB_API_KEY" if os.environ.get("WANDB_API_KEY") else "WANDB_IDENTITY_TOKEN_FILE"
        note = (
            f"{name} belongs to {configured} ({configured_from}) and is not sent to another host; "
            f"set WANDB_BASE_URL={url} if it is for that one."
        )
    key, key_from, trouble = _from_netrc(url) if _sealed(url) else (None, "", _UNSEALED)
    return Credentials(url, app_url_of(url), key, key_from, "the URL", note="" if key else note or trouble)


def default_entity() -> str | None:
    """Return the entity that the user works for, where one is set."""
    return os.environ.get("WANDB_ENTITY") or _settings().get("entity", ("", ""))[0] or None


def default_project() -> str | None:
    """Return the project that the user works on, where one is set."""
    return os.environ.get("WANDB_PROJECT") or _settings().get("project", ("", ""))[0] or None


def app_url_of(base_url: str) -> str:
    """Return the address of the pages that belong to an API's address."""
    host = urlsplit(base_url).netloc
    if host in _CLOUD:
        return _CLOUD[host]
    if "://api." in base_url:
        return base_url.replace("://api.", "://" if "://api.wandb." in base_url else "://app.", 1)
    return base_url


_ODD = re.compile(r"[\\\s\x00-\x1f\x7f]")  # parsers disagree on what stands around these


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what decides who may see a key. ("", "", None) for what is no plain address.

    The parser is the one that connects: what another reads as the host (``http://evil\\@api/``) must not decide.
    """
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    if _ODD.search(url):
        return "", "", None
    try:
        parts = parse_url(url)
    except LocationParseError:
        return "", "", None
    scheme = parts.scheme or ""
    host = (parts.host or "").strip("[]").lower()
    return scheme, host, parts.port or {"http": 80, "https": 443}.get(scheme)


def key_problem(key: str) -> str | None:
    """Return what makes `key` impossible, without a character of it; None where it may be one (the SDK's rule)."""
    if not key.strip():
        return "it is blank"
    if re.search(r"\s", key):
        place = "at its start or end" if not re.search(r"\s", key.strip()) else "inside"
        return f"it has a space or line break {place}"
    if key[0] in "'\"" or key[-1] in "'\"":
        return "it is in quotation marks"
    if _JWT.fullmatch(key):
        return None
    secret = key.partition("-")[2] or key
    if not re.fullmatch(r"[A-Za-z0-9_-]+", secret) or not key.isascii():
        return "it has characters other than letters, digits, _ and -"
    if len(secret) < _MIN_KEY:
        return f"it has {len(secret)} characters where a key has {_MIN_KEY} or more"
    return None


def _configured_base_url(files: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """Return the address and what names it."""
    named = os.environ.get("WANDB_BASE_URL")
    if named:
        return _api_url(named, "WANDB_BASE_URL"), "WANDB_BASE_URL"
    if "base_url" in files and files["base_url"][0]:
        url, path = files["base_url"]
        return _api_url(url, path), path
    return DEFAULT_BASE_URL, "the default"


def _api_url(url: str, named_by: str = "the URL") -> str:
    """Return the API's address for an address that people may give: that of the pages, with a slash at the end.

    Raises:
        UsageError: it is no address.
    """
    try:
        parts = urlsplit(url.strip())
        host = parts.netloc.rpartition("@")[2].lower()
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", host):
        raise UsageError(f"{named_by} is not the address of a server.", "Expected https://host, or https://host:port.")
    if "\\" in url or not origin(f"{parts.scheme.lower()}://{host}")[1]:
        raise UsageError(f"{named_by} is not the address of a server.", "Expected https://host, or https://host:port.")
    host = _CLOUD_ALIASES.get(host, host)
    if host in _CLOUD:
        return f"https://{host}"  # never in the clear
    path = parts.path.rstrip("/") if named_by != "the URL" else ""
    return f"{parts.scheme.lower()}://{host}{path}"


def _same_server(url: str, configured: str) -> bool:
    """Whether a named address is the configured one, perhaps written without the "s" of https."""
    if {urlsplit(url).netloc, urlsplit(configured).netloc} <= set(_CLOUD):
        return True
    return origin(configured) in (origin(url), origin(re.sub("^http:", "https:", url)))


def _with_key(base_url: str, base_url_from: str, app_url: str, files: Mapping[str, tuple[str, str]]) -> Credentials:
    """Return the credentials of the configured server."""
    key = SecretText(os.environ.get("WANDB_API_KEY", ""))
    token_file = os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    in_files, path = files.get("api_key", ("", ""))
    if base_url_from == str(_workspace_settings()) and base_url != DEFAULT_BASE_URL:
        # A folder that somebody else wrote must not lead the user's key to a server of its choice.
        secret, key_from, trouble = _from_netrc(base_url) if _sealed(base_url) else (None, "", _UNSEALED)
        if secret is None and in_files and path == base_url_from:
            secret, key_from = _checked(SecretText(in_files), path), path
        if secret is None and (key or token_file or in_files):
            trouble = (
                f"{base_url} is named only by this folder's {base_url_from}, so your key is not sent there; "
                f"set WANDB_BASE_URL={base_url} if it is your server."
            )
        return Credentials(base_url, app_url, secret, key_from, base_url_from, note="" if secret else trouble)
    if key and token_file:
        raise AuthError(
            "WANDB_API_KEY and WANDB_IDENTITY_TOKEN_FILE are both set.", "Unset one: W&B cannot tell which is meant."
        )
    if key:
        return Credentials(base_url, app_url, _checked(key, "WANDB_API_KEY"), "WANDB_API_KEY", base_url_from)
    if token_file:
        token = Secret(access_token(base_url, token_file))
        return Credentials(base_url, app_url, token, "WANDB_IDENTITY_TOKEN_FILE", base_url_from, bearer=True)
    secret, key_from, trouble = _from_netrc(base_url)
    if secret is None and in_files:
        secret, key_from = _checked(SecretText(in_files), path), path
    return Credentials(base_url, app_url, secret, key_from, base_url_from, note="" if secret else trouble)


def _checked(key: SecretText, source: str) -> Secret:
    problem = key_problem(key)
    if problem:
        raise AuthError(
            f"The API key from {source} is not one: {problem}.",
            f"Copy it again from the authorize page of your W&B server (https://wandb.ai/authorize). {LOG_IN}",
        )
    return Secret(str(key))


_UNSEALED = "A key from netrc is not sent over plain http; set WANDB_BASE_URL to that address if it is your server."


def _sealed(url: str) -> bool:
    """Whether a key may be sent to an address that no setting of the user's names: https, or this machine."""
    scheme, host, _ = origin(url)
    return scheme == "https" or host in ("localhost", "::1") or host.startswith("127.")


def _from_netrc(base_url: str) -> tuple[Secret | None, str, str]:
    """Return the key of the host's own entry, the file's name, and what was wrong with the file."""
    path = _netrc_path()
    key, trouble = _netrc_entry(path, urlsplit(base_url).netloc)
    return (_checked(key, str(path)), str(path), "") if key else (None, "", trouble)


def _netrc_entry(path: Path, host: str) -> tuple[SecretText, str]:
    """Return the password of the host's entry, "" without one, and what was wrong with the file."""
    import netrc

    try:
        hosts = netrc.netrc(str(path)).hosts
    except FileNotFoundError:
        return SecretText(), ""
    except netrc.NetrcParseError as error:  # its text may quote a password
        return SecretText(), f"{path} was not used: line {error.lineno} cannot be read."
    except (OSError, UnicodeDecodeError) as error:
        return SecretText(), f"{path} was not used: {getattr(error, 'strerror', None) or 'it is not text'}."
    # Not netrc.authenticators(): it answers for a host without an entry with the `default` one.
    for name in [host, *(other for other in _CLOUD if host in _CLOUD and other != host)]:
        if name in hosts and hosts[name][2]:
            return SecretText(hosts[name][2]), ""
    return SecretText(), ""


def _netrc_path() -> Path:
    named = os.environ.get("NETRC")
    if named:
        return expanded(named)
    places = (home() / ".netrc", home() / "_netrc")
    return next((path for path in places if path.exists()), places[0])


def _settings() -> dict[str, tuple[str, str]]:
    """Return what the settings files say, each with the file that says it; the folder's own file wins."""
    import configparser

    config_dir = (
        expanded(os.environ["WANDB_CONFIG_DIR"]) if os.environ.get("WANDB_CONFIG_DIR") else home() / ".config" / "wandb"
    )
    found: dict[str, tuple[str, str]] = {}
    for path in (config_dir / "settings", _workspace_settings()):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
            items = parser.items("default")
        except (configparser.Error, OSError, UnicodeDecodeError):  # as the SDK: a broken file says nothing
            continue
        found.update({name: (SecretText(value.strip()), str(path)) for name, value in items})
    return found


def _workspace_settings() -> Path:
    """Return the settings file of the folder at hand, which may be somebody else's."""
    return Path(".wandb" if Path(".wandb").exists() else "wandb") / "settings"
