"""The command `aether`, and the composition root: the only package that knows adapters and roles.

`main` is the command itself, `commands/` one module per group of them, `client` the management API,
`package` and `ignore` what goes into an upload, `settings` the platform's settings.
"""
