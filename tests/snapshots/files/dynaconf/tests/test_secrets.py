# From laterctl: secrets.
"""Secrets have names, and no message shows them."""

import pytest
from pydantic import SecretStr

from order_service.core import env_secrets
from order_service.core.secret_provider import Secret


def test_a_secret_is_not_shown() -> None:
    secret = Secret(SecretStr('hush'))

    assert 'hush' not in f'{secret} {secret!r}'
    assert secret.value.get_secret_value() == 'hush'


def test_what_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_secrets, 'value_of', {'known': 'hush'}.get)
    provider = env_secrets.EnvSecretProvider()

    assert provider.get('known').value.get_secret_value() == 'hush'
    with pytest.raises(LookupError, match=r'(?i)unknown'):
        provider.get('unknown')
