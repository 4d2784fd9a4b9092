"""Functions and invocations in a SQL database: SQLite, or PostgreSQL by the same statements.

`database` opens one (`open_database`) and hands out transactions; `sqlite` and `postgres` are what only
one of them needs; `migrate` brings the tables to the version this code knows, with the steps in `migrations`;
`tables` and `times` describe them; `rows` turns rows into values; `function_store` and `invocation_log`
implement the ports, with `append` for the many rows; `errors` tells our errors from the engine's; `adopt`
takes functions over from another database.
"""
