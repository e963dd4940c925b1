"""What the columns of all tables share: names of constraints, ids, times, flags."""

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

# Ids are uuid7 text; times are milliseconds since 1970, UTC; structured values are JSON text.
ID = String(36)
TIME = BigInteger


def one_of(column: str, *values: str) -> str:
    """A condition: the column has one of these values.

    Not IN: of three values and more SQLite makes a table, anew for every row that it checks, 5 µs each time.
    """
    return " OR ".join(f"{column} = '{value}'" for value in values)


def none_of(column: str, *values: str) -> str:
    """A condition: the column has none of these values."""
    return " AND ".join(f"{column} <> '{value}'" for value in values)


def id_column(name: str = "id") -> Column[str]:
    """The key of a row."""
    return Column(name, ID, primary_key=True)


def seq_column() -> Column[int]:
    """Which of all rows came first; the key, because SQLite hands out a key of whole numbers by itself, in order."""
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def user_column(name: str = "user_id", *, primary_key: bool = False) -> Column[str]:
    """The user a row belongs to."""
    return Column(name, ID, ForeignKey("users.id"), nullable=False, primary_key=primary_key)


def flag_column(name: str) -> Column[int]:
    """0 or 1."""
    return Column(name, BigInteger, CheckConstraint(f"{name} IN (0, 1)", name=name), nullable=False)
