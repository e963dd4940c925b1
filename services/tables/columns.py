"""Column types, naming conventions and constraints shared by all tables."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ids are UUIDv7 text. Times are milliseconds since 1970 in UTC. Structured values are JSON text.
ID = String(36)
TIME = BigInteger


def one_of(column: str, *values: str) -> str:
    """Return the condition that a column has one of these values.

    The condition does not use IN: SQLite builds a temporary table for three or more values at every check of a row.
    """
    return " OR ".join(f"{column} = '{value}'" for value in values)


def none_of(column: str, *values: str) -> str:
    """Return the condition that a column has none of these values."""
    return " AND ".join(f"{column} <> '{value}'" for value in values)


def id_column(name: str = "id") -> Column[str]:
    """Return a primary key that holds an id."""
    return Column(name, ID, primary_key=True)


def seq_column() -> Column[int]:
    """Return an integer primary key in insertion order; SQLite assigns its values."""
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def user_column(name: str = "user_id", *, primary_key: bool = False) -> Column[str]:
    """Return a column that refers to a user."""
    return Column(name, ID, ForeignKey("users.id"), nullable=False, primary_key=primary_key)


def flag_column(name: str) -> Column[int]:
    """Return a column that is 0 or 1."""
    return Column(name, BigInteger, CheckConstraint(f"{name} IN (0, 1)", name=name), nullable=False)
