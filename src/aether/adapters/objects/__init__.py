"""Code images in an object store: local files, memory or anything that speaks S3, through obstore.

`code_store` implements the port over a `bucket`; `s3` opens one at an S3 store; `remote` is a bucket that
obstore reaches; `files` is one of local files, which shares storage instead of copying; `partial` writes
files that are whole or not there; `errors` tells the stores' errors as ours.
"""
