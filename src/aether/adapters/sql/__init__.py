"""Functions and invocations in a SQL database: SQLite now, PostgreSQL by the same statements.

`database` opens one (`open_database`) and hands out transactions; `sqlite` is what only SQLite
needs; `migrate` brings the tables to the version this code knows, with the steps in `migrations`;
`tables` and `times` describe them; `rows` turns rows into values; `function_store` and
`invocation_log` implement the ports; `errors` tells our errors from the engine's.
"""
