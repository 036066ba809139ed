# From laterctl: settings.
"""The application's settings, read from the environment and from .env."""

from pydantic import PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field for each setting; the variable has the field's name."""

    model_config = SettingsConfigDict(
        env_file='.env',
        env_file_encoding='utf-8',
        extra='ignore',
    )

    environment: str = 'development'
    cors_credentials: bool = False  # let browsers send cookies
    cors_expose: list[str] | str = []  # further response headers that scripts may read
    cors_origin_regex: str = ''  # a pattern for origins, matched as a whole
    cors_origins: list[str] | str = []
    http_connect_timeout_seconds: PositiveFloat = 3.0
    http_max_connections: PositiveInt = 100
    http_timeout_seconds: PositiveFloat = 10.0  # for each wait, not for all
    jwt_access_ttl: int = 900  # life of an access token, in seconds
    jwt_algorithm: str = 'HS256'
    jwt_audience: str = 'api'  # whom the tokens are for
    jwt_denylist: str = 'off'  # off, fail_open or fail_closed
    jwt_issuer: str = 'api'  # who issues the tokens
    jwt_keys: SecretStr | None = None
    jwt_max_ttl: int = 3600  # longest life of an access token that is believed
    jwt_refresh_ttl: int = 1209600  # life of a refresh token, in seconds
    metrics_token: SecretStr | None = None
    redis_max_connections: PositiveInt = 100  # a command waits for one
    redis_timeout_seconds: PositiveFloat = 1.0  # for connecting, and for each answer
    redis_url: SecretStr | None = None  # redis://host:6379/0
    security_csp_report_only: bool = False
    security_hsts_preload: bool = False
    security_hsts_seconds: int = 31536000
    security_hsts_subdomains: bool = False  # HTTPS for all subdomains, too
    security_profile: str = 'api'  # api, or html for an application that serves pages


settings = Settings()
