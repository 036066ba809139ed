# From laterctl: settings.
"""The application's settings, read from the environment and from .env."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field for each setting; the variable has the field's name."""

    model_config = SettingsConfigDict(
        env_file='.env',
        env_file_encoding='utf-8',
        extra='ignore',
    )

    environment: str = 'development'
    cors_credentials: bool = False
    cors_expose: list[str] | str = []
    cors_headers: list[str] | str = ''
    cors_origin_regex: str = ''
    cors_origins: list[str] | str = []
    http_connect_timeout_seconds: float = 3.0
    http_max_connections: int = 100
    http_timeout_seconds: float = 10.0
    jwt_access_ttl: int = 900
    jwt_algorithm: str = 'HS256'
    jwt_audience: str = 'api'
    jwt_denylist: str = 'off'
    jwt_issuer: str = 'api'
    jwt_keys: SecretStr | None = None
    jwt_max_ttl: int = 3600
    jwt_refresh_ttl: int = 1209600
    metrics_token: SecretStr | None = None
    redis_max_connections: int = 100
    redis_timeout_seconds: float = 1.0
    redis_url: str = ''
    security_csp_report_only: bool = False
    security_hsts_preload: bool = False
    security_hsts_seconds: int = 31536000
    security_hsts_subdomains: bool = False


settings = Settings()
