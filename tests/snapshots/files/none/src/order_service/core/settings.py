# From laterctl: settings.
"""The application's settings, read from the environment and from .env."""

from typing import Literal

from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field for each setting; the variable has the field's name."""

    model_config = SettingsConfigDict(env_file='.env', extra='ignore')

    environment: str = 'development'
    cors_credentials: bool = False  # let browsers send cookies
    cors_expose: list[str] | str = []  # further response headers that scripts may read
    cors_headers: list[str] | str = ''  # request headers to allow; empty for the usual
    cors_origin_regex: str = ''  # a pattern for origins, matched as a whole
    cors_origins: list[str] | str = []  # origins that may call
    db_max_overflow: NonNegativeInt = 5  # further connections in a burst
    db_pgbouncer: bool = False  # the URL is that of PgBouncer in transaction mode
    db_pool_size: PositiveInt = 5  # connections that each process keeps open
    db_statement_timeout_seconds: NonNegativeFloat = 30.0  # longest time of a statement
    health_cache_seconds: NonNegativeFloat = 1.0  # how long a result is kept
    health_timeout_seconds: PositiveFloat = 1.0  # how long a check may take
    http_connect_timeout_seconds: PositiveFloat = 3.0  # how long connecting may take
    http_max_connections: PositiveInt = 100  # connections at a time, of each process
    http_timeout_seconds: PositiveFloat = 10.0  # how long each read or write may take
    jwt_access_ttl: PositiveInt = 900  # life of an access token, in seconds
    jwt_algorithm: Literal['HS256', 'HS384', 'HS512'] = 'HS256'  # how tokens are signed
    jwt_audience: str = 'api'  # whom the tokens are for
    jwt_issuer: str = 'api'  # who issues the tokens
    jwt_keys: SecretStr | None = None  # signing keys, kid:base64[,kid:base64]
    jwt_max_ttl: PositiveInt = 3600  # longest life of an access token, in seconds
    jwt_refresh_ttl: PositiveInt = 1209600  # life of an unused session, in seconds
    log_format: Literal['json', 'console'] = 'json'  # for machines or for people
    log_level: str = 'INFO'  # DEBUG, INFO, WARNING, ERROR or CRITICAL
    metrics_token: SecretStr | None = None  # bearer token that /metrics asks for
    profiling_dir: str = 'profiles'  # folder for the profiles
    profiling_keep: PositiveInt = 20  # how many of the newest profiles are kept
    profiling_token: SecretStr | None = None  # what X-Profile-Token has to be
    queries_max_repeats: NonNegativeInt = 0  # log statements sent more often; 0 for off
    rate_limit_default: str = ''  # for each client: 100/minute; empty for no limit
    redis_max_connections: PositiveInt = 100  # connections at a time, of each process
    redis_timeout_seconds: PositiveFloat = 1.0  # how long Redis may take to answer
    redis_url: SecretStr | None = None  # redis://host:6379/0
    replica_cooldown_seconds: PositiveFloat = 10.0  # pause for a replica that failed
    replica_database_url: SecretStr | None = None  # postgresql+asyncpg://host/name
    replica_timeout_seconds: PositiveFloat = 0.5  # how long connecting may take
    security_csp_report_only: bool = False  # report what CSP would block, block nothing
    security_hsts_preload: bool = False  # ask for a place in browsers' preload lists
    security_hsts_seconds: NonNegativeInt = 31536000  # how long browsers keep to HTTPS
    security_hsts_subdomains: bool = False  # HTTPS for all subdomains too
    shutdown_drain_seconds: NonNegativeFloat = 0.0  # time from the signal to the stop
    versions_enforce_sunset: bool = False  # answer 410 from a version's sunset on
    ws_max_connections: PositiveInt = 1000  # connections at a time, of each process
    ws_max_message: PositiveInt = 65536  # largest message of a client, in bytes
    ws_max_of_user: PositiveInt = 20  # connections of one user, of each process
    ws_origins: list[str] | str = []  # origins whose pages may connect


settings = Settings()
